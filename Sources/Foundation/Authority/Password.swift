//  Passwords are kept as scrypt hashes (RFC 7914) in the PHC string form, whose parameters travel
//  with the hash, so that they can be raised later.

import Crypto
import CryptoExtras
import FoundationEssentials
import Model

/// A password's hash: `$scrypt$ln=15,r=8,p=1$SALT$HASH`, base64 without padding. Making and checking
/// one costs about 70 ms and 32 MiB: call them on a blocking executor, behind a rate limit.
public struct PasswordHash: Sendable, Hashable {
    /// The PHC string.
    public let text: String

    /// 2 to this power is scrypt's N.
    private static let logRounds = 15
    private static let blockSize = 8
    private static let parallelism = 1
    private static let saltBytes = 16
    private static let hashBytes = 32
    /// The longest password, in bytes of UTF-8.
    public static let passwordBytesMax = 1024

    /// A hash that the store gave back.
    public init(stored text: String) { self.text = text }

    /// Hashes `password` with a fresh salt. Throws `invalidParameter` where it is empty or too long.
    public init(of password: String, chance: Chance) throws(Fault) {
        guard (1...PasswordHash.passwordBytesMax).contains(password.utf8.count) else {
            throw Fault(.invalidParameter, "A password has 1 to \(PasswordHash.passwordBytesMax) bytes")
        }
        let parameters = Parameters(
            logRounds: PasswordHash.logRounds, blockSize: PasswordHash.blockSize, parallelism: PasswordHash.parallelism,
            salt: randomBytes(PasswordHash.saltBytes, chance))
        let hash = try parameters.hash(password, count: PasswordHash.hashBytes)
        text = "\(parameters.text)$\(base64(hash))"
    }

    /// Whether `password` is the one. False, too, where the stored text is damaged or its parameters
    /// ask for more than a server gives.
    public func verify(_ password: String) -> Bool {
        guard password.utf8.count <= PasswordHash.passwordBytesMax, let (parameters, wanted) = parsed(),
            let hash = try? parameters.hash(password, count: wanted.count)
        else { return false }
        return equalInConstantTime(hash, wanted)
    }

    /// Whether the hash was made with other parameters than today's and ought to be made again at the
    /// next log-in.
    public var isOutdated: Bool {
        guard let (parameters, _) = parsed() else { return true }
        return parameters.logRounds != PasswordHash.logRounds || parameters.blockSize != PasswordHash.blockSize
            || parameters.parallelism != PasswordHash.parallelism
    }

    private func parsed() -> (Parameters, hash: [UInt8])? {
        let parts = text.split(separator: "$", omittingEmptySubsequences: false)
        guard text.utf8.count <= 256, parts.count == 5, parts[0].isEmpty, parts[1] == "scrypt" else { return nil }
        let settings = parts[2].split(separator: ",", omittingEmptySubsequences: false)
        guard settings.count == 3, let logRounds = number(settings[0], "ln="), let blockSize = number(settings[1], "r="),
            let parallelism = number(settings[2], "p="), (1...17).contains(logRounds), (1...8).contains(blockSize),
            (1...4).contains(parallelism), let salt = bytes(base64: parts[3]), let hash = bytes(base64: parts[4]),
            (8...64).contains(salt.count), (16...64).contains(hash.count)
        else { return nil }
        return (Parameters(logRounds: logRounds, blockSize: blockSize, parallelism: parallelism, salt: salt), hash)
    }

    private func number(_ text: Substring, _ name: String) -> Int? {
        text.hasPrefix(name) ? Int(text.dropFirst(name.count)) : nil
    }
}

private struct Parameters {
    var logRounds: Int
    var blockSize: Int
    var parallelism: Int
    var salt: [UInt8]

    var text: String { "$scrypt$ln=\(logRounds),r=\(blockSize),p=\(parallelism)$\(base64(salt))" }

    func hash(_ password: String, count: Int) throws(Fault) -> [UInt8] {
        do {
            let key = try KDF.Scrypt.deriveKey(
                from: Array(password.utf8), salt: salt, outputByteCount: count, rounds: 1 << logRounds, blockSize: blockSize,
                parallelism: parallelism, maxMemory: 256 << 20)
            return key.withUnsafeBytes { Array($0) }
        } catch {
            throw Fault(.internalError, "A password could not be hashed", because: error)
        }
    }
}

private func base64(_ bytes: [UInt8]) -> String {
    String(Data(bytes).base64EncodedString().prefix { $0 != "=" })
}

private func bytes(base64 text: Substring) -> [UInt8]? {
    guard !text.contains("=") else { return nil }
    let padding = String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
    return Data(base64Encoded: text + padding).map { Array($0) }
}
