//  Writes functions for the tests that fill a response structure with values of chance, so that
//  every member's encoding can be compared with what botocore reads back.

/// Turns one service's response structures into samples.
struct SamplesWriter {
    let model: ServiceModel

    func sample(_ name: String) throws -> String {
        let type = "\(model.namespace).\(swiftType(name))"
        let members = try model.members(name)
        var lines = [
            "extension \(type) {", "    static func sample(_ chance: inout SampleChance) -> Self {",
            "        \(members.isEmpty ? "let" : "var") value = Self()",
        ]
        for (member, reference) in members {
            lines.append("        if chance.fills() { value.\(swiftMember(member)) = \(try value(reference)) }")
        }
        return (lines + ["        return value", "    }", "}"]).joined(separator: "\n")
    }

    /// A function for each response, by the name of its operation.
    func responses() -> String {
        let envelope =
            "ResponseEnvelope(\(model.namespace).dialect, namespace: \(model.namespace).namespace(version: nil), requestID: \"r\")"
        var lines = [
            "let sampled\(model.namespace)Responses: [(operation: String, sample: @Sendable (inout SampleChance) -> SampledResponse)] = ["
        ]
        for (name, operation) in model.operations.sorted(by: { $0.key < $1.key }) {
            guard let output = operation.output else { continue }
            let wrapper = output.resultWrapper.map { ", resultWrapper: \(literal($0))" } ?? ""
            lines += [
                "    (\(literal(name)), { chance in",
                "        let value = \(model.namespace).\(swiftType(output.shape)).sample(&chance)",
                "        let body = \(envelope).body(\(literal(name))\(wrapper)) { xml in value.encode(into: &xml) }",
                "        return SampledResponse(value: value, body: body)", "    }),",
            ]
        }
        return (lines + ["]"]).joined(separator: "\n")
    }

    /// A function for each request, by the name of its operation: what reads it.
    func requests() -> String {
        var lines = [
            "let \(model.namespace.lowercased())RequestReaders: [String: @Sendable (Query) throws(Fault) -> any Sendable] = ["
        ]
        for (name, operation) in model.operations.sorted(by: { $0.key < $1.key }) {
            guard let input = operation.input else { continue }
            let type = "\(model.namespace).\(swiftType(input.shape))"
            lines.append("    \(literal(name)): { query throws(Fault) in try \(type)(query: query) },")
        }
        return (lines + ["]"]).joined(separator: "\n")
    }

    private func value(_ reference: ServiceModel.Reference) throws -> String {
        let shape = try model.shape(reference.shape)
        switch shape.type {
        case "string": return "chance.string()"
        case "integer": return "chance.integer()"
        case "long": return "chance.long()"
        case "double", "float": return "chance.double()"
        case "boolean": return "chance.boolean()"
        case "timestamp": return "chance.timestamp()"
        case "blob": return "chance.blob()"
        case "structure": return "\(model.namespace).\(swiftType(reference.shape)).sample(&chance)"
        case "list":
            guard let member = shape.member else { throw ModelFailure("\(reference.shape) is a list of nothing") }
            return "chance.list { chance in \(try value(member)) }"
        default: throw ModelFailure("\(reference.shape): modelgen has no sample of the type \(shape.type)")
        }
    }
}
