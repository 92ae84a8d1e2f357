//  What Signature Version 4 is checked with: an access key's secret, or the key that was derived from it
//  for a day, a region and a service, which is all that a host of its own is given.

import Crypto
import Model

/// What a signing key is derived for, as the client stated it. Region and service are not compared with
/// anything: clients make them up where none is configured.
public struct SigningScope: Sendable, Hashable {
    public static let terminator = "aws4_request"

    /// `20150830`
    public var date: String
    public var region: String
    public var service: String

    public init(date: String, region: String, service: String) {
        self.date = date
        self.region = region
        self.service = service
    }

    /// `20150830/us-east-1/iam/aws4_request`
    public var text: String { "\(date)/\(region)/\(service)/\(SigningScope.terminator)" }
}

/// What a client's signatures are checked with.
public enum SigningSecret: Sendable, Hashable {
    case whole(String)
    /// The bytes of the key for the one scope that was asked for.
    case derived([UInt8])

    /// The key that signs in `scope` (AWS General Reference, "Deriving the signing key").
    public func key(in scope: SigningScope) -> SymmetricKey {
        switch self {
        case .derived(let key): return SymmetricKey(data: key)
        case .whole(let secret):
            var key = SymmetricKey(data: Array("AWS4\(secret)".utf8))
            for part in [scope.date, scope.region, scope.service, SigningScope.terminator] {
                key = SymmetricKey(data: Array(HMAC<SHA256>.authenticationCode(for: Array(part.utf8), using: key)))
            }
            return key
        }
    }

    /// The same for one scope only.
    public func derived(for scope: SigningScope) -> SigningSecret { .derived(key(in: scope).withUnsafeBytes { Array($0) }) }
}
