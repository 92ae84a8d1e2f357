import Foundation
import Testing

@testable import modelgen

/// What is committed is what the models say.
@Suite struct GeneratedCodeTests {
    @Test func committedFilesAreCurrent() throws {
        let files = try Generator(root: Oracle.root).files()
        for (path, expected) in files {
            let committed = try String(contentsOf: Oracle.root.appending(path: path), encoding: .utf8)
            #expect(committed == expected, "\(path) is not what modelgen writes: run `swift run modelgen` in the root")
        }
        for folder in Set(files.keys.map { ($0 as NSString).deletingLastPathComponent }) {
            for name in try FileManager.default.contentsOfDirectory(atPath: Oracle.root.appending(path: folder).path) {
                #expect(files["\(folder)/\(name)"] != nil, "\(folder)/\(name) is not generated any more")
            }
        }
    }

    @Test func selectionIsWhatTheModelsHold() throws {
        let text = try String(contentsOf: Oracle.root.appending(path: "Models/selection.txt"), encoding: .utf8)
        var selected: [String: Set<String>] = [:]
        var service = ""
        for line in text.split(separator: "\n") {
            let words = line.prefix { $0 != "#" }.split(separator: " ").map(String.init)
            switch words.first {
            case "service": service = words[1]
            case nil, "open": continue
            case let operation?: selected[service, default: []].insert(operation)
            }
        }
        #expect(Set(selected.keys) == Set(Generator.services))
        for (service, operations) in selected {
            let data = try Data(contentsOf: Oracle.root.appending(path: "Models/\(service).json"))
            let model = try JSONDecoder().decode(ServiceModel.self, from: data)
            #expect(Set(model.operations.keys) == operations, "run Tools/trim-models")
        }
    }

    @Test(arguments: [
        ("InstanceId", "instanceId"), ("VCpuInfo", "vCpuInfo"), ("EBSOptimized", "ebsOptimized"), ("ID", "id"),
        ("Return", "`return`"),
        ("Operator", "`operator`"), ("AWSAccount", "awsAccount"),
    ])
    func members(name: String, swift: String) { #expect(swiftMember(name) == swift) }

    @Test(arguments: [
        ("pending-acceptance", "pendingAcceptance"), ("x86_64", "x86_64"), ("v2.0", "v2_0"), ("2.0", "_2_0"),
        ("default", "`default`"),
        ("HVM", "hvm"), ("all", "allValue"),
    ])
    func constants(value: String, swift: String) { #expect(swiftConstant(value) == swift) }

    // MARK: The query protocol's lists, which no selected operation has

    private static let queryModel = #"""
        {
          "source": "test", "namespace": "T", "operationNames": [], "operations": {},
          "metadata": {"apiVersion": "2010-01-01", "protocol": "query", "serviceFullName": "T"},
          "shapes": {
            "S": {"type": "string", "min": 2, "max": 4}, "E": {"type": "string", "enum": ["a-b"]}, "M": {"type": "map"},
            "Plain": {"type": "list", "member": {"shape": "S"}, "max": 3},
            "Named": {"type": "list", "member": {"shape": "E", "locationName": "item"}},
            "Flat": {"type": "list", "flattened": true, "member": {"shape": "S"}},
            "FlatNamed": {"type": "list", "flattened": true, "member": {"shape": "S", "locationName": "Thing"}},
            "R": {
              "type": "structure", "order": ["P", "N", "F", "FN"], "required": ["N"],
              "members": {
                "P": {"shape": "Plain"}, "N": {"shape": "Named", "locationName": "nn"}, "F": {"shape": "Flat"}, "FN": {"shape": "FlatNamed"}
              }
            },
            "Loop": {"type": "structure", "order": ["L"], "members": {"L": {"shape": "Loop"}}},
            "Maps": {"type": "structure", "order": ["M"], "members": {"M": {"shape": "M"}}}
          }
        }
        """#

    private func queryModel() throws -> ServiceModel {
        try JSONDecoder().decode(ServiceModel.self, from: Data(Self.queryModel.utf8))
    }

    @Test func listsOfTheQueryProtocol() throws {
        let writer = StructureWriter(model: try queryModel(), wire: .query)
        let text = try writer.structure("R", inRequests: true, inResponses: true)
        for line in [
            #"p = try fields.take("P")?.strings(member: "member", count: 0...3, length: 2...4)"#,
            #"n = try fields.require("nn").strings(member: "item", oneOf: E.all)"#,
            #"f = try fields.take("F")?.strings(length: 2...4)"#, #"fn = try fields.take("Thing")?.strings(length: 2...4)"#,
            #"for item in p { xml.element("member", item) }"#, #"for item in n { xml.element("item", item) }"#,
            #"for item in f { xml.element("F", item) }"#, #"for item in fn { xml.element("Thing", item) }"#,
        ] {
            #expect(text.contains(line), "\(line) in \(text)")
        }
        #expect(text.contains(#"xml.open("P")"#))
        // A flat list has no element of its own.
        #expect(!text.contains(#"xml.open("F")"#))
    }

    @Test func whatIsNotBuiltIsRefused() throws {
        var model = try queryModel()
        let writer = StructureWriter(model: model, wire: .query)
        #expect(throws: ModelFailure.self) { try writer.structure("Maps", inRequests: true, inResponses: false) }
        model.operations["O"] = .init(input: .init(shape: "Loop"), output: nil)
        #expect(throws: ModelFailure.self) { try model.refuseRecursion() }
    }
}
