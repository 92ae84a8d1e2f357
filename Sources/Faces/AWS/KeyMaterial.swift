//  The making and reading of ssh keys, with EC2's fingerprints. Sources: RFC 4251, 4253 and 8709
//  (the public key's bytes), RFC 4716, OpenSSH's PROTOCOL.key (its private key file), EC2 User Guide
//  "Verify the fingerprint of your key pair".

import Crypto
import CryptoExtras
import FoundationEssentials
import Model
import Platform

/// A fresh key pair.
struct NewKey: Sendable {
    var type: KeyPair.Algorithm
    /// What the caller keeps: PEM of PKCS#1, or OpenSSH's own file.
    var privateKey: String
    /// One line as in `authorized_keys`.
    var publicKey: String
    var fingerprint: String

    /// Costs about a tenth of a second of processor time: for an executor that may be held up.
    static func rsa(comment: String) throws(Fault) -> NewKey {
        do {
            let key = try _RSA.Signing.PrivateKey(keySize: .bits2048)
            let numbers = try key.publicKey.getKeyPrimitives()
            let blob = PublicKey.blob(modulus: Array(numbers.modulus), exponent: Array(numbers.publicExponent))
            return NewKey(
                type: .rsa, privateKey: key.pemRepresentation, publicKey: PublicKey.line(.rsa, blob, comment: comment),
                fingerprint: colons(Insecure.SHA1.hash(data: key.pkcs8DERRepresentation)))
        } catch {
            throw Fault(.internalError, "The key could not be made.", because: error)
        }
    }

    /// - Parameter check: Two equal numbers in the file show that it was opened with the right passphrase; there
    ///   is none here, so any will do.
    static func ed25519(comment: String, check: UInt32) -> NewKey {
        let key = Curve25519.Signing.PrivateKey()
        let point = Array(key.publicKey.rawRepresentation)
        let blob = PublicKey.blob(point: point)
        return NewKey(
            type: .ed25519, privateKey: openSSH(seed: Array(key.rawRepresentation), point: point, blob: blob, comment, check),
            publicKey: PublicKey.line(.ed25519, blob, comment: comment), fingerprint: PublicKey.fingerprint(blob))
    }

    private static func openSSH(seed: [UInt8], point: [UInt8], blob: [UInt8], _ comment: String, _ check: UInt32) -> String {
        var secret = SSHWriter()
        secret.append(number: check)
        secret.append(number: check)
        secret.append(string: Array("ssh-ed25519".utf8))
        secret.append(string: point)
        secret.append(string: seed + point)
        secret.append(string: Array(comment.utf8))
        // Padded with 1, 2, 3… to the block size of no cipher, which is 8.
        for pad in 1...8 where !secret.bytes.count.isMultiple(of: 8) { secret.bytes.append(UInt8(pad)) }
        var file = SSHWriter()
        file.bytes += Array("openssh-key-v1\0".utf8)
        file.append(string: Array("none".utf8))
        file.append(string: Array("none".utf8))
        file.append(string: [])
        file.append(number: 1)
        file.append(string: blob)
        file.append(string: secret.bytes)
        let text = Data(file.bytes).base64EncodedString()
        var lines = ["-----BEGIN OPENSSH PRIVATE KEY-----"]
        var rest = text[...]
        while !rest.isEmpty {
            lines.append(String(rest.prefix(70)))
            rest = rest.dropFirst(70)
        }
        return (lines + ["-----END OPENSSH PRIVATE KEY-----", ""]).joined(separator: "\n")
    }
}

/// Makes RSA keys where nothing else waits.
actor KeyWorker {
    private let executor = BlockingExecutor(name: "karri.aws.keys")

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    func rsa(comment: String) throws(Fault) -> NewKey { try NewKey.rsa(comment: comment) }
}

/// A public key that a caller gave.
struct PublicKey: Sendable, Hashable {
    let type: KeyPair.Algorithm
    /// The key in ssh's own form.
    let blob: [UInt8]
    /// Of RSA: the DER of its SubjectPublicKeyInfo.
    private let info: [UInt8]

    static let bytesMax = 16384
    private static let rsaBits = 1024...16384

    /// Reads OpenSSH's line, RFC 4716's file, PEM or DER.
    ///
    /// - Throws: `.invalidParameter` in EC2's words.
    init(reading material: [UInt8]) throws(Fault) {
        guard !material.isEmpty, material.count <= PublicKey.bytesMax, let key = PublicKey.read(material) else {
            throw Fault(.invalidParameter, "Key is not in valid OpenSSH public key format", kind: .keyPair)
        }
        self = key
    }

    /// One line as in `authorized_keys`.
    func line(comment: String) -> String { PublicKey.line(type, blob, comment: comment) }

    /// EC2's fingerprint of an imported key: MD5 of the public key's DER, and of ED25519 as of every one.
    var importFingerprint: String {
        type == .rsa ? colons(Insecure.MD5.hash(data: info)) : PublicKey.fingerprint(blob)
    }

    static func line(_ type: KeyPair.Algorithm, _ blob: [UInt8], comment: String) -> String {
        "\(word(type)) \(Data(blob).base64EncodedString()) \(comment)"
    }

    /// SHA-256 of ssh's form, in Base64.
    static func fingerprint(_ blob: [UInt8]) -> String { Data(SHA256.hash(data: blob)).base64EncodedString() }

    static func blob(modulus: [UInt8], exponent: [UInt8]) -> [UInt8] {
        var writer = SSHWriter()
        writer.append(string: Array(word(.rsa).utf8))
        writer.append(integer: exponent)
        writer.append(integer: modulus)
        return writer.bytes
    }

    static func blob(point: [UInt8]) -> [UInt8] {
        var writer = SSHWriter()
        writer.append(string: Array(word(.ed25519).utf8))
        writer.append(string: point)
        return writer.bytes
    }

    private static func word(_ type: KeyPair.Algorithm) -> String {
        switch type {
        case .rsa: "ssh-rsa"
        case .ed25519: "ssh-ed25519"
        }
    }

    private init(type: KeyPair.Algorithm, blob: [UInt8], info: [UInt8]) {
        self.type = type
        self.blob = blob
        self.info = info
    }

    private static func read(_ material: [UInt8]) -> PublicKey? {
        guard let text = String(validating: material, as: UTF8.self) else { return der(material) }
        let lines = text.split(whereSeparator: \.isNewline).map { trimmed($0) }.filter { !$0.isEmpty }
        guard let first = lines.first else { return nil }
        if first == "---- BEGIN SSH2 PUBLIC KEY ----" { return rfc4716(lines).flatMap(ssh) }
        if first.hasPrefix("-----BEGIN") { return pem(text) }
        if lines.count == 1, let key = openSSH(first) { return key }
        // Some tools send the DER in Base64, which the caller's library then encodes once more.
        return Data(base64Encoded: String(text.filter { !$0.isWhitespace })).flatMap { der(Array($0)) }
    }

    private static func openSSH(_ line: Substring) -> PublicKey? {
        let words = line.split(separator: " ", maxSplits: 2)
        guard words.count >= 2, let data = Data(base64Encoded: String(words[1])), let key = ssh(Array(data)),
            word(key.type) == words[0]
        else { return nil }
        return key
    }

    /// The Base64 between the marks, without headers, which may go over several lines that end in a backslash.
    private static func rfc4716(_ lines: [Substring]) -> [UInt8]? {
        guard lines.last == "---- END SSH2 PUBLIC KEY ----" else { return nil }
        var text = ""
        var continues = false
        for line in lines.dropFirst().dropLast() {
            if continues || line.contains(":") {
                continues = line.hasSuffix("\\")
            } else {
                text += line
            }
        }
        return Data(base64Encoded: text).map { Array($0) }
    }

    private static func ssh(_ blob: [UInt8]) -> PublicKey? {
        var reader = SSHReader(blob)
        guard let name = reader.string() else { return nil }
        switch String(decoding: name, as: UTF8.self) {
        case word(.rsa):
            guard let exponent = reader.string(), let modulus = reader.string(), reader.isAtEnd,
                modulus.first.map({ $0 < 0x80 }) == true, exponent.first.map({ $0 < 0x80 }) == true
            else { return nil }
            return rsa(modulus: modulus, exponent: exponent)
        case word(.ed25519):
            guard let point = reader.string(), point.count == 32, reader.isAtEnd,
                (try? Curve25519.Signing.PublicKey(rawRepresentation: point)) != nil
            else { return nil }
            return PublicKey(type: .ed25519, blob: blob, info: [])
        default: return nil
        }
    }

    private static func rsa(modulus: [UInt8], exponent: [UInt8]) -> PublicKey? {
        let modulus = Array(modulus.drop { $0 == 0 })
        let exponent = Array(exponent.drop { $0 == 0 })
        guard rsaBits.contains(modulus.count * 8 - (modulus.first?.leadingZeroBitCount ?? 0)), exponent.count <= 8,
            exponent.last.map({ $0 & 1 == 1 }) == true, modulus.last.map({ $0 & 1 == 1 }) == true
        else { return nil }
        return PublicKey(
            type: .rsa, blob: blob(modulus: modulus, exponent: exponent),
            info: DER.publicKeyInfo(modulus: modulus, exponent: exponent))
    }

    private static func pem(_ text: String) -> PublicKey? {
        guard let key = try? _RSA.Signing.PublicKey(unsafePEMRepresentation: text) else { return nil }
        return rsa(key)
    }

    private static func der(_ bytes: [UInt8]) -> PublicKey? {
        guard let key = try? _RSA.Signing.PublicKey(unsafeDERRepresentation: bytes) else { return nil }
        return rsa(key)
    }

    private static func rsa(_ key: _RSA.Signing.PublicKey) -> PublicKey? {
        guard let numbers = try? key.getKeyPrimitives() else { return nil }
        return rsa(modulus: Array(numbers.modulus), exponent: Array(numbers.publicExponent))
    }

    private static func trimmed(_ line: Substring) -> Substring {
        var line = line.drop { $0.isWhitespace }
        while line.last?.isWhitespace == true { line.removeLast() }
        return line
    }
}

/// Hex bytes with colons between them.
private func colons(_ bytes: some Sequence<UInt8>) -> String { bytes.map { hexDigits(CollectionOfOne($0)) }.joined(separator: ":") }

/// DER (X.690) of what fingerprints are taken of.
private enum DER {
    /// A SubjectPublicKeyInfo (RFC 5280) of rsaEncryption (RFC 8017).
    static func publicKeyInfo(modulus: [UInt8], exponent: [UInt8]) -> [UInt8] {
        // 1.2.840.113549.1.1.1 with NULL parameters.
        let algorithm: [UInt8] = [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00]
        let key = wrap(0x30, integer(modulus) + integer(exponent))
        return wrap(0x30, algorithm + wrap(0x03, [0] + key))
    }

    private static func integer(_ bytes: [UInt8]) -> [UInt8] {
        wrap(0x02, bytes.first.map { $0 >= 0x80 } == true ? [0] + bytes : bytes)
    }

    private static func wrap(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
        let count = content.count
        guard count >= 0x80 else { return [tag, UInt8(count)] + content }
        let digits = withUnsafeBytes(of: UInt32(count).bigEndian) { Array($0.drop { $0 == 0 }) }
        return [tag, 0x80 | UInt8(digits.count)] + digits + content
    }
}

/// Writes ssh's types (RFC 4251, section 5).
private struct SSHWriter {
    var bytes: [UInt8] = []

    mutating func append(number: UInt32) { withUnsafeBytes(of: number.bigEndian) { bytes += $0 } }

    mutating func append(string: [UInt8]) {
        append(number: UInt32(string.count))
        bytes += string
    }

    /// A positive integer, with a leading zero where its first bit is set.
    mutating func append(integer: [UInt8]) {
        let digits = Array(integer.drop { $0 == 0 })
        append(string: digits.first.map { $0 >= 0x80 } == true ? [0] + digits : digits)
    }
}

/// Reads them.
private struct SSHReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func string() -> [UInt8]? {
        guard rest.count >= 4 else { return nil }
        let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
        let content = rest.dropFirst(4)
        guard length <= content.count else { return nil }
        rest = content.dropFirst(length)
        return Array(content.prefix(length))
    }
}
