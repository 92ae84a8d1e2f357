//  IMDSv2's tokens. They are not stored: a token is its own end and an authentication code under a
//  key that is made of edge's key and the guest's name, so no other guest's token is ever good.

import Crypto
import Model

struct MetadataTokens: Sendable {
    static let lifetimeSeconds = 1...21600

    private let key: SymmetricKey

    /// - Parameter secret: Any bytes that nobody knows; the same ones keep old tokens good.
    init(secret: Secret) { key = SymmetricKey(data: SHA256.hash(data: secret.bytes)) }

    /// A token of 64 base64 characters: version, end in seconds, random bits, code.
    func issue(guest: String, domain: String, lifetimeSeconds: Int, now: Instant, random: UInt64) -> String {
        let end = UInt64(bitPattern: now.microseconds / 1_000_000 + Int64(lifetimeSeconds))
        let claim = [1] + bytes(end) + bytes(random).prefix(7)
        return encode(claim + code(over: claim, guest: guest, domain: domain))
    }

    /// The seconds that a token is still good for.
    ///
    /// - Returns: Nil if it is not this guest's, was changed, or has ended.
    func remainingSeconds(_ token: String, guest: String, domain: String, now: Instant) -> Int? {
        guard let decoded = decode(token), decoded.count == 48, decoded.first == 1 else { return nil }
        let claim = Array(decoded.prefix(16))
        let expected = code(over: claim, guest: guest, domain: domain)
        let difference = zip(expected, decoded.dropFirst(16)).reduce(0) { $0 | ($1.0 ^ $1.1) }
        guard difference == 0 else { return nil }
        let end = Int64(bitPattern: claim[1..<9].reduce(0) { $0 << 8 | UInt64($1) })
        let (left, overflow) = end.subtractingReportingOverflow(now.microseconds / 1_000_000)
        return overflow || left <= 0 ? nil : Int(left)
    }

    private func code(over claim: [UInt8], guest: String, domain: String) -> [UInt8] {
        let name = Array("\(domain.utf8.count):\(domain)/\(guest)".utf8)
        let own = SymmetricKey(data: HMAC<SHA256>.authenticationCode(for: name, using: key))
        return Array(HMAC<SHA256>.authenticationCode(for: claim, using: own))
    }

    private func bytes(_ number: UInt64) -> [UInt8] {
        bigEndianBytes(UInt32(truncatingIfNeeded: number >> 32)) + bigEndianBytes(UInt32(truncatingIfNeeded: number))
    }

    /// Base64 with `-` and `_`, as AWS spells tokens; 48 bytes need no padding.
    private func encode(_ bytes: [UInt8]) -> String {
        let alphabet = MetadataTokens.alphabet
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count - 2, by: 3) {
            let group = Int(bytes[start]) << 16 | Int(bytes[start + 1]) << 8 | Int(bytes[start + 2])
            for shift in [18, 12, 6, 0] { text.append(alphabet[group >> shift & 63]) }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private func decode(_ text: String) -> [UInt8]? {
        guard text.utf8.count == 64 else { return nil }
        var bytes: [UInt8] = []
        var group = 0
        for (place, character) in text.utf8.enumerated() {
            guard let value = MetadataTokens.alphabet.firstIndex(of: character) else { return nil }
            group = group << 6 | value
            if place % 4 == 3 {
                bytes += [UInt8(group >> 16 & 255), UInt8(group >> 8 & 255), UInt8(group & 255)]
                group = 0
            }
        }
        return bytes
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
}
