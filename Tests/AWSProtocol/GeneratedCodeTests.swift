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
}
