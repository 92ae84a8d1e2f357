//  Writes the structures of a service: their members, how they read themselves from a request and
//  write themselves into a response.

/// Turns one service's shapes into Swift.
struct StructureWriter {
    let model: ServiceModel
    let wire: Wire

    /// One structure. It gets a decoder if requests hold it and an encoder if responses do.
    func structure(_ name: String, inRequests: Bool, inResponses: Bool) throws -> String {
        var lines = ["    public struct \(swiftType(name)): Sendable {"]
        let members = try model.members(name)
        for (member, reference) in members {
            lines.append("        public var \(swiftMember(member)): \(try swiftType(of: reference))?")
        }
        if !members.isEmpty { lines.append("") }
        lines.append("        public init() {}")
        if inRequests { lines += ["", try decoder(name)] }
        if inResponses { lines += ["", try encoder(name)] }
        lines.append("    }")
        return lines.joined(separator: "\n")
    }

    private func swiftType(of reference: ServiceModel.Reference) throws -> String {
        let shape = try model.shape(reference.shape)
        switch shape.type {
        case "string": return "String"
        case "integer", "long": return "Int"
        case "double", "float": return "Double"
        case "boolean": return "Bool"
        case "timestamp": return "Instant"
        case "blob": return "[UInt8]"
        case "structure": return modelgen.swiftType(reference.shape)
        case "list":
            guard let member = shape.member else { throw ModelFailure("\(reference.shape) is a list of nothing") }
            return "[\(try swiftType(of: member))]"
        default: throw ModelFailure("\(reference.shape): modelgen does not know the type \(shape.type)")
        }
    }

    private func swiftType(_ name: String) -> String { modelgen.swiftType(name) }

    // MARK: Requests

    private func decoder(_ name: String) throws -> String {
        let members = try model.members(name)
        let required = Set(try model.shape(name).required ?? [])
        var lines = [
            "        public init(query: Query) throws(Fault) {",
            "            \(members.isEmpty ? "let" : "var") fields = try Fields(query)",
        ]
        for (member, reference) in members {
            let wireName = literal(try wire.requestName(member, reference, model))
            let place = required.contains(member) ? "fields.require(\(wireName))" : "fields.take(\(wireName))?"
            lines.append("            \(swiftMember(member)) = try \(place).\(try reading(reference))")
        }
        lines += ["            try fields.finish()", "        }"]
        return lines.joined(separator: "\n")
    }

    /// The call that reads a value of the shape: `string(oneOf: Tenancy.all)`.
    private func reading(_ reference: ServiceModel.Reference) throws -> String {
        let shape = try model.shape(reference.shape)
        switch shape.type {
        case "string": return "string(\(stringConstraints(reference.shape, shape).joined(separator: ", ")))"
        case "integer": return "integer(\(range(shape).map { "in: \($0)" } ?? ""))"
        case "long": return range(shape).map { "integer(in: \($0))" } ?? "long()"
        case "double", "float": return "double()"
        case "boolean": return "boolean()"
        case "timestamp": return "timestamp()"
        case "blob": return "blob()"
        case "structure": return "structure(\(swiftType(reference.shape)).init(query:))"
        case "list": return try listReading(reference, shape)
        default: throw ModelFailure("\(reference.shape): modelgen cannot read the type \(shape.type)")
        }
    }

    private func listReading(_ reference: ServiceModel.Reference, _ shape: ServiceModel.Shape) throws -> String {
        guard let member = shape.member else { throw ModelFailure("\(reference.shape) is a list of nothing") }
        let element = try model.shape(member.shape)
        var arguments: [String] = []
        if let item = try wire.requestItem(reference, model) { arguments.append("member: \(literal(item))") }
        if let range = range(shape) { arguments.append("count: \(range)") }
        switch element.type {
        case "string":
            return "strings(\((arguments + stringConstraints(member.shape, element)).joined(separator: ", ")))"
        case "structure":
            return "list(\((arguments + ["\(swiftType(member.shape)).init(query:)"]).joined(separator: ", ")))"
        default:
            let given = arguments.isEmpty ? "" : "(\(arguments.joined(separator: ", ")))"
            return "list\(given) { place throws(Fault) in try place.\(try reading(member)) }"
        }
    }

    private func stringConstraints(_ name: String, _ shape: ServiceModel.Shape) -> [String] {
        var arguments: [String] = []
        if let range = range(shape) { arguments.append("length: \(range)") }
        if shape.enum != nil { arguments.append("oneOf: \(swiftType(name)).all") }
        return arguments
    }

    private func range(_ shape: ServiceModel.Shape) -> String? {
        switch (shape.min, shape.max) {
        case (nil, nil): nil
        case (let min?, nil): "\(min)...Int.max"
        case (nil, let max?): "0...\(max)"
        case (let min?, let max?): "\(min)...\(max)"
        }
    }

    // MARK: Responses

    private func encoder(_ name: String) throws -> String {
        var lines = ["        public func encode(into xml: inout XMLWriter) {"]
        for (member, reference) in try model.members(name) { lines += try writing(member, reference) }
        lines.append("        }")
        return lines.joined(separator: "\n")
    }

    private func writing(_ member: String, _ reference: ServiceModel.Reference) throws -> [String] {
        let shape = try model.shape(reference.shape)
        let property = swiftMember(member)
        let name = literal(try wire.responseName(member, reference, model))
        switch shape.type {
        case "structure":
            return [
                "            if let \(property) {", "                xml.open(\(name))",
                "                \(property).encode(into: &xml)", "                xml.close(\(name))", "            }",
            ]
        case "list": return try listWriting(property, name, reference, shape)
        default: return ["            xml.element(\(name), \(property))"]
        }
    }

    private func listWriting(
        _ property: String, _ name: String, _ reference: ServiceModel.Reference, _ shape: ServiceModel.Shape
    ) throws -> [String] {
        guard let member = shape.member else { throw ModelFailure("\(reference.shape) is a list of nothing") }
        let item = try wire.responseItem(reference, model).map(literal)
        var lines = ["            if let \(property) {"]
        if item != nil { lines.append("                xml.open(\(name))") }
        switch try model.shape(member.shape).type {
        case "structure":
            lines += [
                "                for item in \(property) {", "                    xml.open(\(item ?? name))",
                "                    item.encode(into: &xml)", "                    xml.close(\(item ?? name))",
                "                }",
            ]
        case "list", "map": throw ModelFailure("\(reference.shape): modelgen cannot write a list of lists or maps")
        default: lines.append("                for item in \(property) { xml.element(\(item ?? name), item) }")
        }
        if item != nil { lines.append("                xml.close(\(name))") }
        return lines + ["            }"]
    }

    // MARK: Enumerations

    /// The values of an enumeration, as constants: members stay strings, as on the wire.
    func enumeration(_ name: String, _ values: [String]) -> String {
        var lines = ["    public enum \(swiftType(name)) {"]
        let names = values.map(swiftConstant)
        for (constant, value) in zip(names, values) {
            lines.append("        public static let \(constant) = \(literal(value))")
        }
        lines.append("        public static let all: [String] = [\(names.joined(separator: ", "))]")
        return (lines + ["    }"]).joined(separator: "\n")
    }
}
