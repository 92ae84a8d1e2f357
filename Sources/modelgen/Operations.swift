//  Writes the operations of a service: the names of all, the protocol of those that are built, and
//  the switch that leads from a request to a handler.

/// Turns one service's operations into Swift.
struct OperationsWriter {
    let model: ServiceModel
    let wire: Wire

    private var built: [String] { model.operations.keys.sorted() }

    /// The namespace itself, with the service's constants.
    func namespace() -> String {
        """
        /// \(model.metadata.serviceFullName), version \(model.metadata.apiVersion).
        public enum \(model.namespace) {
            /// The version of the service's model.
            public static let apiVersion = \(literal(model.metadata.apiVersion))
            public static let dialect = Dialect.\(wire.rawValue)

            /// The namespace of responses for a caller that speaks `version`.
            public static func namespace(version: String?) -> String {
                \(wire == .ec2
                    ? "ResponseEnvelope.ec2Namespace(version: version, current: apiVersion)"
                    : literal(model.metadata.xmlNamespace ?? ""))
            }
        }
        """
    }

    func operationNames() -> String {
        var lines = [
            "    /// Every operation of the service, whether it is built here or not.",
            "    public enum Operation: String, Sendable, Hashable, CaseIterable {",
        ]
        lines += model.operationNames.map { "        case \(swiftMember($0)) = \(literal($0))" }
        lines += [
            "", "        /// Whether `dispatch` leads to a handler.", "        public var isBuilt: Bool {",
            "            switch self {",
            "            case \(built.map { ".\(swiftMember($0))" }.joined(separator: ",\n                ")):",
            "                true", "            default: false", "            }", "        }", "    }",
        ]
        return lines.joined(separator: "\n")
    }

    func handlers() -> String {
        var lines = [
            "    /// What the service does: one function for each operation that is built.",
            "    public protocol Handlers: Sendable {", "        /// What a call brings with it beside its parameters.",
            "        associatedtype Context: Sendable", "",
        ]
        for name in built {
            let operation = model.operations[name]
            let request = operation?.input.map { "_ request: \(swiftType($0.shape)), " } ?? ""
            let result = operation?.output.map { " -> \(swiftType($0.shape))" } ?? ""
            lines.append("        func \(swiftMember(name))(\(request)_ context: Context) async throws(Fault)\(result)")
        }
        return (lines + ["    }"]).joined(separator: "\n")
    }

    func dispatch() -> String {
        var lines = [
            "    /// Reads the request, calls its handler and writes the response.",
            "    ///", "    /// - Returns: The response's body, with status 200.",
            "    /// - Throws: What reading the parameters or the handler throws; `notSupported` for an operation that is",
            "    ///   not built.",
            "    public static func dispatch<Service: Handlers>(",
            "        _ operation: Operation, _ query: Query, to handlers: Service, in context: Service.Context, requestID: String",
            "    ) async throws(Fault) -> [UInt8] {",
            "        let envelope = ResponseEnvelope(dialect, namespace: namespace(version: query.version), requestID: requestID)",
            "        switch operation {",
        ]
        for name in built {
            let member = swiftMember(name)
            lines.append("        case .\(member): return try await \(member)(query, handlers, context, envelope)")
        }
        if built.count < model.operationNames.count {
            lines.append(
                "        default: throw Fault(.notSupported, \"The operation \\(operation.rawValue) is not supported by this cloud\")"
            )
        }
        lines += ["        }", "    }"]
        return (lines + built.flatMap { ["", call($0)] }).joined(separator: "\n")
    }

    /// One operation's own function, so that the frame of `dispatch` does not hold every request and result at once.
    private func call(_ name: String) -> String {
        let operation = model.operations[name]
        let member = swiftMember(name)
        var lines = [
            "    private static func \(member)<Service: Handlers>(",
            "        _ query: Query, _ handlers: Service, _ context: Service.Context, _ envelope: ResponseEnvelope",
            "    ) async throws(Fault) -> [UInt8] {",
        ]
        if let input = operation?.input {
            lines.append("        let request = try \(swiftType(input.shape))(query: query)")
        } else {
            lines.append("        try Fields(query).finish()")
        }
        let call = "try await handlers.\(member)(\(operation?.input == nil ? "" : "request, ")context)"
        if let output = operation?.output {
            let wrapper = output.resultWrapper.map { ", resultWrapper: \(literal($0))" } ?? ""
            lines.append("        let result = \(call)")
            lines.append("        return envelope.body(\(literal(name))\(wrapper)) { xml in result.encode(into: &xml) }")
        } else {
            lines.append("        \(call)")
            lines.append("        return envelope.body(\(literal(name)))")
        }
        return (lines + ["    }"]).joined(separator: "\n")
    }
}
