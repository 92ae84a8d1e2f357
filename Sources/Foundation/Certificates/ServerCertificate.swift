//  What a TLS server shows and proves: a chain of certificates and the private key of its first. It
//  is checked as a whole when it is read, so that a listener never starts with a pair that no
//  client would accept.

import Crypto
import Model
import NIOSSL
import SwiftASN1
import X509

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A server's certificates and its private key, which belong together.
public struct ServerCertificate: Sendable, Hashable {
    /// A file with more is none of ours.
    public static let bytesMax = 1 << 20
    /// Certificates of a chain; public ones have two to four.
    static let chainMax = 16

    /// The server's own first, then who signed it.
    let chain: [Certificate]
    let key: Certificate.PrivateKey

    init(chain: [Certificate], key: Certificate.PrivateKey) {
        self.chain = chain
        self.key = key
    }

    /// Reads and checks two PEM files (RFC 7468).
    ///
    /// - Parameters:
    ///   - certificate: The server's certificate, followed by those that signed it.
    ///   - key: Its private key, not encrypted.
    ///   - names: What the two are called in a fault, such as their paths.
    /// - Throws: `.invalidParameter`, saying which of the two is wrong, and how.
    public init(
        certificate: [UInt8], key: [UInt8], names: (certificate: String, key: String), now: Instant
    ) throws(Fault) {
        let chain = try ServerCertificate.chain(in: certificate, named: names.certificate)
        let secret = try ServerCertificate.key(in: key, named: names.key)
        guard let own = chain.first, own.publicKey == secret.publicKey else {
            throw Fault(
                .invalidParameter,
                "\(names.key) is not the key of the first certificate in \(names.certificate): give the pair that was made together"
            )
        }
        self.init(chain: chain, key: secret)
        guard now < notAfter else {
            throw Fault(.invalidParameter, "the certificate in \(names.certificate) expired on \(notAfter.iso8601)")
        }
        guard now >= notBefore else {
            throw Fault(
                .invalidParameter,
                "the certificate in \(names.certificate) is valid from \(notBefore.iso8601) only: look at the clock")
        }
    }

    /// Reads one file with the certificates and the key, as `file` is.
    ///
    /// - Throws: `.invalidParameter`.
    public init(file: [UInt8], named name: String, now: Instant) throws(Fault) {
        try self.init(certificate: file, key: file, names: (name, name), now: now)
    }

    // MARK: - What it says

    public var notBefore: Instant { Instant(own.map { $0.notValidBefore } ?? .distantFuture) }
    public var notAfter: Instant { Instant(own.map { $0.notValidAfter } ?? .distantPast) }

    private var own: Certificate? { chain.first }

    /// The names and addresses that it is for (RFC 6125: a common name counts for nothing).
    public var names: [String] {
        alternatives.compactMap { name -> String? in
            switch name {
            case .dnsName(let name): name.lowercased()
            case .ipAddress(let octets) where octets.bytes.count == 4:
                octets.bytes.map(String.init).joined(separator: ".")
            default: nil
            }
        }
    }

    private var alternatives: SubjectAlternativeNames {
        // One that cannot be read names nothing.
        (try? own?.extensions.subjectAlternativeNames) ?? SubjectAlternativeNames([])
    }

    /// Whether a client that dials `host` would find itself at the right server; one label may be `*`.
    public func covers(_ host: String) -> Bool {
        let host = host.lowercased()
        return names.contains { name in
            if name == host { return true }
            guard name.hasPrefix("*."), IPv4Address(host) == nil, let dot = host.firstIndex(of: ".") else { return false }
            return name.dropFirst(1) == host[dot...]
        }
    }

    /// Everything in one file, the certificates first, so that a pair is replaced as one. Secret.
    ///
    /// - Throws: `.internalError` for what cannot be written.
    public func file() throws(Fault) -> [UInt8] {
        do {
            var documents = try chain.map { try $0.serializeAsPEM().pemString }
            documents.append(try key.serializeAsPEM().pemString)
            return Array((documents.joined(separator: "\n") + "\n").utf8)
        } catch { throw Fault(.internalError, "a certificate cannot be written", because: error) }
    }

    // MARK: - The listener's side

    /// TLS as a listener speaks it: version 1.2 and above, forward secrecy and authenticated encryption.
    ///
    /// - Throws: `.invalidParameter` for what the TLS library refuses.
    public func listenerContext() throws(Fault) -> NIOSSLContext {
        do {
            let certificates = try chain.map { certificate -> NIOSSLCertificateSource in
                var serializer = DER.Serializer()
                try serializer.serialize(certificate)
                return .certificate(try NIOSSLCertificate(bytes: serializer.serializedBytes, format: .der))
            }
            let secret = try NIOSSLPrivateKey(bytes: Array(key.serializeAsPEM().pemString.utf8), format: .pem)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: certificates, privateKey: .privateKey(secret))
            configuration.minimumTLSVersion = .tlsv12
            // For 1.2; the suites of 1.3 are all good and not to be chosen.
            configuration.cipherSuiteValues = [
                .TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, .TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                .TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, .TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                .TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, .TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            ]
            configuration.applicationProtocols = ["http/1.1"]
            return try NIOSSLContext(configuration: configuration)
        } catch { throw Fault(.invalidParameter, "the certificate cannot serve TLS", because: error) }
    }

    // MARK: - Reading

    private static func documents(_ bytes: [UInt8], named name: String) throws(Fault) -> [PEMDocument] {
        guard bytes.count <= bytesMax else { throw Fault(.invalidParameter, "\(name) is too long for a certificate or key") }
        let text = String(decoding: bytes, as: UTF8.self)
        do {
            return try PEMDocument.parseMultiple(pemString: text)
        } catch { throw Fault(.invalidParameter, "\(name) is not a PEM file", because: error) }
    }

    static func chain(in bytes: [UInt8], named name: String) throws(Fault) -> [Certificate] {
        let documents = try documents(bytes, named: name).filter { $0.discriminator == Certificate.defaultPEMDiscriminator }
        guard (1...chainMax).contains(documents.count) else {
            throw Fault(
                .invalidParameter,
                documents.isEmpty
                    ? "\(name) holds no certificate (-----BEGIN CERTIFICATE-----)"
                    : "\(name) holds more than \(chainMax) certificates")
        }
        do {
            return try documents.map { try Certificate(pemDocument: $0) }
        } catch { throw Fault(.invalidParameter, "\(name) holds a certificate that cannot be read", because: error) }
    }

    static func key(in bytes: [UInt8], named name: String) throws(Fault) -> Certificate.PrivateKey {
        let documents = try documents(bytes, named: name).filter { $0.discriminator.hasSuffix("PRIVATE KEY") }
        guard let document = documents.first, documents.count == 1 else {
            throw Fault(
                .invalidParameter,
                documents.isEmpty
                    ? "\(name) holds no private key (-----BEGIN PRIVATE KEY-----)" : "\(name) holds several private keys")
        }
        guard document.discriminator != "ENCRYPTED PRIVATE KEY" else {
            throw Fault(
                .invalidParameter,
                "the private key in \(name) is encrypted: write it without a passphrase (openssl pkey), mode 0600")
        }
        do {
            return try Certificate.PrivateKey(pemDocument: document)
        } catch {
            // The parser's words may quote what it read.
            throw Fault(
                .invalidParameter,
                "the private key in \(name) cannot be read: RSA, ECDSA and Ed25519 in PKCS#8, PKCS#1 or SEC 1 can")
        }
    }
}

extension Instant {
    init(_ date: Date) {
        let microseconds = date.timeIntervalSince1970 * 1_000_000
        self.init(microseconds: Int64(exactly: microseconds.rounded()) ?? (microseconds < 0 ? .min : .max))
    }

    var date: Date { Date(timeIntervalSince1970: Double(microseconds) / 1_000_000) }
}
