//  Secrets at rest. What must be had back in clear (access keys' secrets, user data) is stored
//  sealed under a master key that is kept outside the store's folder; what a sealed value belongs to
//  is bound to it, so that a blob copied to another row does not open.

import Crypto
import FoundationEssentials
import Model

/// The master keys: one that seals, and older ones that still open.
public struct Seal: Sendable, CustomStringConvertible, CustomReflectable {
    private struct Key: Sendable {
        /// The first eight bytes of the key's SHA-256, which stand in every blob.
        var id: [UInt8]
        var key: SymmetricKey

        init(_ bytes: [UInt8]) {
            id = Array(SHA256.hash(data: Array("karri master key".utf8) + bytes).prefix(8))
            key = SymmetricKey(data: bytes)
        }
    }

    /// In the order of the file: the first seals.
    private let keys: [Key]
    private let lines: [String]

    private static let keyBytes = 32
    private static let keysMax = 64
    private static let word = "karri-master-key-1 "
    private static let formatByte: UInt8 = 1
    private static let nonceBytes = 12
    private static let tagBytes = 16
    /// One byte of format, eight that name the key, the nonce.
    private static let headBytes = 1 + 8 + nonceBytes

    /// Fresh: one new key.
    public init(generatedFrom chance: Chance) {
        self.init(keys: [randomBytes(Seal.keyBytes, chance)])
    }

    /// Reads the bytes of a master key file: a line `karri-master-key-1 HEX` for each key, the one
    /// that seals first. Throws `storage` where it is not one.
    public init(file: [UInt8]) throws(Fault) {
        let unreadable = Fault(.storage, "The master key file is damaged")
        guard file.count <= 65536, let text = String(validating: file, as: UTF8.self) else { throw unreadable }
        var keys: [[UInt8]] = []
        for line in text.split(separator: "\n") {
            guard line.hasPrefix(Seal.word), let key = bytes(hexDigits: line.dropFirst(Seal.word.count)), key.count == Seal.keyBytes
            else { throw unreadable }
            keys.append(key)
        }
        guard (1...Seal.keysMax).contains(keys.count) else { throw unreadable }
        self.init(keys: keys)
    }

    private init(keys: [[UInt8]]) {
        self.keys = keys.map(Key.init)
        lines = keys.map { Seal.word + hexDigits($0) }
    }

    /// The bytes to keep in a file that only the owner reads (0600).
    public var file: [UInt8] { Array(lines.map { $0 + "\n" }.joined().utf8) }

    /// A new key seals from now on; all that were still open.
    public func rotated(with chance: Chance) -> Seal {
        let fresh = Seal(generatedFrom: chance)
        return Seal(keys: Array(fresh.keys + keys).map { $0.key.withUnsafeBytes { Array($0) } })
    }

    /// Seals `secret` (AES-256-GCM, NIST SP 800-38D). `belonging` says what it belongs to, such as
    /// `accessKey/AKIA…`, and must be given again to open it.
    public func seal(_ secret: some Sequence<UInt8>, belonging: String, chance: Chance) throws(Fault) -> [UInt8] {
        guard let current = keys.first else { throw Fault(.internalError, "There is no master key") }
        let nonce = randomBytes(Seal.nonceBytes, chance)
        let head = [Seal.formatByte] + current.id + nonce
        do {
            let box = try AES.GCM.seal(
                Data(secret), using: current.key, nonce: AES.GCM.Nonce(data: nonce), authenticating: head + Array(belonging.utf8))
            return head + Array(box.ciphertext) + Array(box.tag)
        } catch {
            throw Fault(.internalError, "A secret could not be sealed", because: error)
        }
    }

    /// Opens what `seal` made. Throws `storage` where the key is missing, the blob was changed, or it
    /// belongs to something else.
    public func open(_ blob: [UInt8], belonging: String) throws(Fault) -> [UInt8] {
        guard blob.count >= Seal.headBytes + Seal.tagBytes, blob.first == Seal.formatByte else {
            throw Fault(.storage, "A sealed secret is damaged")
        }
        let head = blob.prefix(Seal.headBytes)
        guard let key = keys.first(where: { $0.id == Array(head.dropFirst().prefix(8)) }) else {
            throw Fault(.storage, "A sealed secret needs a master key that is not in the key file")
        }
        do {
            let box = try AES.GCM.SealedBox(
                nonce: AES.GCM.Nonce(data: head.suffix(Seal.nonceBytes)),
                ciphertext: blob.dropFirst(Seal.headBytes).dropLast(Seal.tagBytes), tag: blob.suffix(Seal.tagBytes))
            return Array(try AES.GCM.open(box, using: key.key, authenticating: Array(head) + Array(belonging.utf8)))
        } catch {
            throw Fault(.storage, "A sealed secret is damaged or belongs to something else", because: error)
        }
    }

    /// Whether `blob` was sealed by an older key and ought to be sealed again.
    public func isOutdated(_ blob: [UInt8]) -> Bool {
        keys.first.map { !blob.dropFirst().starts(with: $0.id) } ?? true
    }

    public var description: String { "Seal(\(keys.map { hexDigits($0.id) }.joined(separator: ", ")))" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
