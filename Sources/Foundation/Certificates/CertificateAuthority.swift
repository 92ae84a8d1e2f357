//  A certificate authority of the cloud's own, for listeners whose operator brings no certificate:
//  clients trust its one long-lived certificate, and the servers' short-lived ones follow from it.

import Crypto
import Model
import SwiftASN1
import X509

/// A certificate that signs the cloud's own servers' certificates, with its private key.
public struct CertificateAuthority: Sendable, Hashable {
    /// How long clients may trust it without being told of another.
    static let lifetime = Duration.seconds(3650 * 86400)
    /// How long a server's certificate is valid: what current clients accept at most is 398 days.
    static let serverLifetime = Duration.seconds(180 * 86400)
    /// A certificate is renewed this long before its end.
    static let renewal = Duration.seconds(60 * 86400)
    /// What clocks may differ by.
    static let skew = Duration.seconds(3600)

    let certificate: Certificate
    let key: Certificate.PrivateKey

    /// Makes one: ECDSA over P-256, from the system's own randomness.
    ///
    /// - Parameter name: What people read in a list of authorities.
    /// - Throws: `.internalError`.
    public init(named name: String, now: Instant) throws(Fault) {
        key = Certificate.PrivateKey(P256.Signing.PrivateKey())
        do {
            let subject = try DistinguishedName { CommonName(name) }
            let identifier = SubjectKeyIdentifier(hash: key.publicKey)
            certificate = try Certificate(
                version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: key.publicKey,
                notValidBefore: (now - CertificateAuthority.skew).date, notValidAfter: (now + CertificateAuthority.lifetime).date,
                issuer: subject, subject: subject, signatureAlgorithm: .ecdsaWithSHA256,
                extensions: try Certificate.Extensions {
                    Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                    Critical(KeyUsage(keyCertSign: true, cRLSign: true))
                    identifier
                },
                issuerPrivateKey: key)
        } catch { throw Fault(.internalError, "a certificate authority cannot be made", because: error) }
    }

    /// Reads what `file` wrote.
    ///
    /// - Throws: `.storage`.
    public init(file: [UInt8], named name: String) throws(Fault) {
        let read: (chain: [Certificate], key: Certificate.PrivateKey)
        do throws(Fault) {
            read = (try ServerCertificate.chain(in: file, named: name), try ServerCertificate.key(in: file, named: name))
        } catch { throw Fault(.storage, error.message, because: error) }
        guard let certificate = read.chain.first, certificate.publicKey == read.key.publicKey else {
            throw Fault(.storage, "\(name) holds a certificate and a key that do not belong together")
        }
        self.certificate = certificate
        key = read.key
    }

    public var notAfter: Instant { Instant(certificate.notValidAfter) }

    /// Certificate and key in PEM. Secret.
    public func file() throws(Fault) -> [UInt8] { try ServerCertificate(chain: [certificate], key: key).file() }

    /// The certificate in PEM, for everybody.
    public func published() throws(Fault) -> [UInt8] {
        do {
            return Array((try certificate.serializeAsPEM().pemString + "\n").utf8)
        } catch { throw Fault(.internalError, "a certificate cannot be written", because: error) }
    }

    /// A server's certificate, with a key of its own.
    ///
    /// - Parameter names: DNS names and IPv4 addresses by which clients dial it.
    /// - Throws: `.internalError`.
    public func issue(for names: [String], now: Instant) throws(Fault) -> ServerCertificate {
        let secret = Certificate.PrivateKey(P256.Signing.PrivateKey())
        let end = min(now + CertificateAuthority.serverLifetime, notAfter)
        do {
            let own = try Certificate(
                version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: secret.publicKey,
                notValidBefore: (now - CertificateAuthority.skew).date, notValidAfter: end.date, issuer: certificate.subject,
                subject: try DistinguishedName { CommonName(names.first ?? "karri") }, signatureAlgorithm: .ecdsaWithSHA256,
                extensions: try extensions(for: names, secret.publicKey), issuerPrivateKey: key)
            return ServerCertificate(chain: [own, certificate], key: secret)
        } catch { throw Fault(.internalError, "a certificate cannot be made", because: error) }
    }

    private func extensions(for names: [String], _ secret: Certificate.PublicKey) throws -> Certificate.Extensions {
        let alternatives = names.map { name -> GeneralName in
            guard let address = IPv4Address(name) else { return .dnsName(name) }
            return .ipAddress(ASN1OctetString(contentBytes: address.bytes[...]))
        }
        let signer = try certificate.extensions.subjectKeyIdentifier?.keyIdentifier
        return try Certificate.Extensions {
            Critical(BasicConstraints.notCertificateAuthority)
            Critical(KeyUsage(digitalSignature: true))
            try ExtendedKeyUsage([.serverAuth])
            SubjectAlternativeNames(alternatives)
            SubjectKeyIdentifier(hash: secret)
            AuthorityKeyIdentifier(keyIdentifier: signer)
        }
    }

    /// Whether a certificate that this authority may have issued should be followed by another.
    public func shouldReplace(_ server: ServerCertificate, for names: [String], now: Instant) -> Bool {
        Set(server.names) != Set(names.map { $0.lowercased() }) || now + CertificateAuthority.renewal >= server.notAfter
            || server.chain.last != certificate
    }
}
