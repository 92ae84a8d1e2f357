//  An error as AWS's clients read it.

/// A code of the original, a message and the HTTP status.
public struct AWSError: Error, Sendable, Hashable {
    public var code: String
    public var message: String
    /// 4xx when the caller can mend it, 5xx when only the cloud can.
    public var status: Int

    public init(_ code: String, _ message: String, status: Int = 400) {
        self.code = code
        self.message = message
        self.status = status
    }

    /// The body of the response. `namespace` is the service's, for the query dialect.
    public func body(_ dialect: Dialect, namespace: String = "", requestID: String) -> [UInt8] {
        var xml = XMLWriter(capacity: 512)
        xml.declaration()
        switch dialect {
        case .ec2:
            xml.open("Response")
            xml.open("Errors")
            error(&xml, type: nil)
            xml.close("Errors")
            xml.element("RequestID", requestID)
            xml.close("Response")
        case .query:
            xml.open("ErrorResponse", namespace: namespace)
            error(&xml, type: status < 500 ? "Sender" : "Receiver")
            xml.element("RequestId", requestID)
            xml.close("ErrorResponse")
        }
        return xml.bytes
    }

    private func error(_ xml: inout XMLWriter, type: String?) {
        xml.open("Error")
        xml.element("Type", type)
        xml.element("Code", code)
        xml.element("Message", message)
        xml.close("Error")
    }
}
