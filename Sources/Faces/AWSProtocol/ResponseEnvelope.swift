//  What lies around a result: the operation's element, the namespace of the version that the caller
//  speaks, and the request's id.

/// Wraps results of one call. Source: Smithy's `awsQuery` and `ec2Query` response serialization.
public struct ResponseEnvelope: Sendable {
    public var dialect: Dialect
    /// The `xmlns` of the response's element.
    public var namespace: String
    /// The id under which the call is logged and traced.
    public var requestID: String

    public init(_ dialect: Dialect, namespace: String, requestID: String) {
        self.dialect = dialect
        self.namespace = namespace
        self.requestID = requestID
    }

    /// EC2's namespace of a version. Old clients compare it with their own, so a date that they
    /// send is echoed; anything else gets `current`.
    public static func ec2Namespace(version: String?, current: String) -> String {
        let shown = version.flatMap { isDate($0) ? $0 : nil } ?? current
        return "http://ec2.amazonaws.com/doc/\(shown)/"
    }

    /// A whole response. `result` writes the members of the result; without it, the operation has none.
    public func body(
        _ operation: String, resultWrapper: StaticString? = nil, capacity: Int = 1024, result: ((inout XMLWriter) -> Void)? = nil
    ) -> [UInt8] {
        var xml = XMLWriter(capacity: capacity)
        let name = "\(operation)Response"
        xml.declaration()
        xml.open(name, namespace: namespace)
        switch dialect {
        case .ec2:
            xml.element("requestId", requestID)
            if let result { result(&xml) } else { xml.element("return", true) }
        case .query:
            if let resultWrapper { xml.open(resultWrapper) }
            result?(&xml)
            if let resultWrapper { xml.close(resultWrapper) }
            xml.open("ResponseMetadata")
            xml.element("RequestId", requestID)
            xml.close("ResponseMetadata")
        }
        xml.close(name)
        return xml.bytes
    }
}

/// Whether a text is `dddd-dd-dd`.
private func isDate(_ text: String) -> Bool {
    text.utf8.count == 10
        && text.utf8.enumerated().allSatisfy { position, byte in
            position == 4 || position == 7
                ? byte == UInt8(ascii: "-") : (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
        }
}
