//  Fresh credentials, made of random bits that are handed in.

import Model

/// An access key's two halves. The secret shows itself nowhere but in `secret`.
public struct Credentials: Sendable, Hashable, CustomStringConvertible, CustomReflectable {
    /// `AKIA…` or `ASIA…`: four letters and 16 of base32.
    public let key: String
    /// 40 characters.
    public let secret: String

    /// Long-lived keys begin with `AKIA`, those of a session with `ASIA` (IAM User Guide, "Unique
    /// identifiers").
    public enum Lifetime: String, Sendable, Hashable {
        case permanent = "AKIA"
        case temporary = "ASIA"
    }

    /// Credentials of 80 and 240 fresh bits.
    public init(_ lifetime: Lifetime, chance: Chance) {
        let first = UniqueIdentity.base32(chance.bits(), characters: 8)
        key = lifetime.rawValue + first + UniqueIdentity.base32(chance.bits(), characters: 8)
        secret = Credentials.secretText(chance)
    }

    public var description: String { "Credentials(\(key))" }
    public var customMirror: Mirror { Mirror(self, children: ["key": key]) }

    private static func secretText(_ chance: Chance) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        let text = (0..<4).flatMap { _ in
            let bits = chance.bits()
            return (0..<10).map { alphabet[Int(bits >> UInt64($0 * 6) & 63)] }
        }
        return String(decoding: text, as: UTF8.self)
    }
}

/// `count` random bytes.
public func randomBytes(_ count: Int, _ chance: Chance) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
        let bits = chance.bits()
        bytes.append(contentsOf: (0..<8).map { UInt8(truncatingIfNeeded: bits >> UInt64($0 * 8)) })
    }
    return Array(bytes.prefix(count))
}
