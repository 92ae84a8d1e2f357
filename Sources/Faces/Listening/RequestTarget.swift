//  A request's target as it was sent: signatures are over its very bytes.

import Hummingbird

/// Path and query, percent-encoded as sent.
public struct RequestTarget: Sendable, Hashable {
    public let path: String
    /// Without the question mark; empty where there is none.
    public let query: String

    public init(_ request: Request) {
        let target = request.head.path ?? "/"
        let mark = target.utf8.firstIndex(of: UInt8(ascii: "?"))
        path = String(target[..<(mark ?? target.endIndex)])
        query = mark.map { String(target[target.utf8.index(after: $0)...]) } ?? ""
    }
}

extension Request {
    /// The header's fields in the order of the wire, with names in lower case and `host` among them, as
    /// signatures want them.
    public var signableFields: [(name: String, value: String)] {
        var fields = headers.map { (name: $0.name.canonicalName, value: $0.value) }
        if let authority = head.authority { fields.append((name: "host", value: authority)) }
        return fields
    }
}
