//  Signature Version 4: the words that its parts share (AWS General Reference, "Signing AWS API
//  requests"). A request is read into a Claim, which says whose key is to be looked up; the claim is
//  then verified with that key's secret. Nothing here does I/O or reads a clock.

import Authority
import Model

/// AWS's request signatures, of header and of query form.
public enum SignatureV4 {
    /// The only algorithm.
    static let algorithm = "AWS4-HMAC-SHA256"
    /// How far a client's clock may be off.
    public static let skewMinutesMax: Int64 = 15
    /// The longest life of a presigned request: a week.
    public static let presignedSecondsMax: Int64 = 604_800

    public typealias Scope = SigningScope

    /// How the canonical request spells the path.
    public enum PathStyle: Sendable, Hashable {
        /// Dots and double slashes are resolved, and what was sent is encoded once more: all services
        /// but the object store.
        case normalized
        /// As sent: S3.
        case asSent

        /// What the scope's service does.
        public init(service: String) { self = service == "s3" || service.hasPrefix("s3-") ? .asSent : .normalized }
    }

    /// A request as it came over the wire.
    public struct Request: Sendable {
        public var method: String
        /// Percent-encoded as sent, without the query.
        public var rawPath: String
        /// As sent, without the question mark; empty where there is none.
        public var rawQuery: String
        /// In the order of the wire, repeated names kept, `Host` among them.
        public var headers: [(name: String, value: String)]
        public var body: Body

        public enum Body: Sendable, Hashable {
            /// The SHA-256 of the whole body, in lower-case hex.
            case hashed(String)
            /// It will be read later; then the verified claim says what to check.
            case unread
        }

        public init(
            method: String, rawPath: String, rawQuery: String = "", headers: [(name: String, value: String)], body: Body = .unread
        ) {
            self.method = method
            self.rawPath = rawPath
            self.rawQuery = rawQuery
            self.headers = headers
            self.body = body
        }

        /// The values of a header, in order; the name in lower case.
        func values(_ name: String) -> [String] {
            var values: [String] = []
            for header in headers where Request.isNamed(header.name, name) { values.append(header.value) }
            return values
        }

        /// Whether a header's name, in either case, is one in lower case.
        static func isNamed(_ header: String, _ name: String) -> Bool {
            header.utf8.count == name.utf8.count && (header == name || header.lowercased() == name)
        }
    }
}
