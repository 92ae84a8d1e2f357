//  Pairs that a listener takes and pairs that it refuses; the cloud's own authority; renewal; and a
//  real openssl as the client's judgement.

import Crypto
import Foundation
import Model
import Platform
import SwiftASN1
import Testing
import X509

@testable import Certificates

/// A folder of the test's own, which goes with it.
func withFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let folder = "/tmp/karri-certificates-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try await body(folder)
}

struct CertificateTests {
    static let now = Chance.system.now()

    static func pem(_ certificate: Certificate) throws -> [UInt8] { Array(try certificate.serializeAsPEM().pemString.utf8) }
    static func pem(_ key: Certificate.PrivateKey) throws -> [UInt8] { Array(try key.serializeAsPEM().pemString.utf8) }

    static func read(_ certificate: [UInt8], _ key: [UInt8], at now: Instant = now) throws(Fault) -> ServerCertificate {
        try ServerCertificate(certificate: certificate, key: key, names: ("the.crt", "the.key"), now: now)
    }

    @Test func whatTheAuthorityIssuesComesBackFromItsFile() throws {
        let authority = try CertificateAuthority(named: "A cloud", now: CertificateTests.now)
        #expect(try CertificateAuthority(file: authority.file(), named: "authority.pem") == authority)
        let made = try authority.issue(for: ["Cloud.example.org", "127.0.0.1"], now: CertificateTests.now)
        let read = try ServerCertificate(file: made.file(), named: "listener.pem", now: CertificateTests.now)
        #expect(read == made)
        #expect(read.names == ["cloud.example.org", "127.0.0.1"])
        #expect(read.notAfter > CertificateTests.now + .seconds(100 * 86400))
        _ = try read.listenerContext()
    }

    @Test(arguments: [
        ("cloud.example.org", true), ("CLOUD.example.org", true), ("10.1.2.3", true), ("a.wild.example.org", true),
        ("wild.example.org", false), ("a.b.wild.example.org", false), ("example.org", false), ("10.1.2.4", false), ("", false),
        // A common name counts for nothing, and an address is no name below a wildcard.
        ("1.2.3.4", false),
    ])
    func aNameIsCoveredOrNot(name: String, isCovered: Bool) throws {
        let authority = try CertificateAuthority(named: "A cloud", now: CertificateTests.now)
        let names = ["cloud.example.org", "*.wild.example.org", "10.1.2.3", "*.2.3.4"]
        #expect(try authority.issue(for: names, now: CertificateTests.now).covers(name) == isCovered)
    }

    @Test func aPairThatCannotServeIsRefusedWithTheFaultyFilesName() throws {
        let now = CertificateTests.now
        let authority = try CertificateAuthority(named: "A cloud", now: now)
        let one = try authority.issue(for: ["a.example.org"], now: now)
        let other = try authority.issue(for: ["a.example.org"], now: now)
        let certificate = try CertificateTests.pem(one.chain[0])
        let key = try CertificateTests.pem(one.key)
        let encrypted = Array("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n".utf8)
        let refusals: [(what: String, certificate: [UInt8], key: [UInt8], words: String)] = [
            ("another pair's key", certificate, try CertificateTests.pem(other.key), "the.key is not the key"),
            // The chain the wrong way round: its first is the authority's.
            ("the authority first", try CertificateTests.pem(one.chain[1]) + certificate, key, "the.key is not the key"),
            ("the two mixed up", key, certificate, "the.crt holds no certificate"),
            ("a certificate for a key", certificate, certificate, "the.key holds no private key"),
            ("nothing", [], key, "the.crt holds no certificate"), ("no key", certificate, [], "the.key holds no private key"),
            ("two keys", certificate, key + key, "the.key holds several"),
            ("an encrypted key", certificate, encrypted, "encrypted"),
            ("a cut certificate", Array(certificate.dropLast(60)), key, "the.crt"),
            ("a cut key", certificate, Array(key.dropLast(40)), "the.key"),
            ("too much", Array(repeating: 65, count: 2 << 20), key, "too long"),
        ]
        for refusal in refusals {
            #expect("\(refusal.what)") {
                _ = try CertificateTests.read(refusal.certificate, refusal.key)
            } throws: {
                ($0 as? Fault)?.code == .invalidParameter && ($0 as? Fault)?.message.contains(refusal.words) == true
            }
        }
        #expect(try CertificateTests.read(certificate, key).chain.count == 1)
    }

    @Test func aPairServesOnlyWhileItIsValid() throws {
        let now = CertificateTests.now
        let made = try CertificateAuthority(named: "A cloud", now: now).issue(for: ["a"], now: now)
        let file = try made.file()
        for (moment, word) in [(made.notAfter, "expired"), (made.notBefore - .seconds(1), "valid from")] {
            #expect {
                _ = try ServerCertificate(file: file, named: "f", now: moment)
            } throws: { ($0 as? Fault)?.message.contains(word) == true }
        }
        _ = try ServerCertificate(file: file, named: "f", now: made.notAfter - .seconds(1))
    }

    @Test func theOwnCertificateIsReplacedInTimeAndForOtherNames() throws {
        let now = CertificateTests.now
        let authority = try CertificateAuthority(named: "A cloud", now: now)
        let made = try authority.issue(for: ["a", "10.0.0.1"], now: now)
        #expect(!authority.shouldReplace(made, for: ["10.0.0.1", "A"], now: now))
        #expect(authority.shouldReplace(made, for: ["a"], now: now))
        #expect(!authority.shouldReplace(made, for: ["a", "10.0.0.1"], now: made.notAfter - .seconds(61 * 86400)))
        #expect(authority.shouldReplace(made, for: ["a", "10.0.0.1"], now: made.notAfter - .seconds(60 * 86400)))
        let another = try CertificateAuthority(named: "A cloud", now: now)
        #expect(another.shouldReplace(made, for: ["a", "10.0.0.1"], now: now))
    }

    @Test func aListenerFollowsItsFileAndKeepsAGoodOne() async throws {
        try await withFolder { folder in
            let now = CertificateTests.now
            let path = folder + "/listener.pem"
            #expect { _ = try ListenerContext(path: path, now: now) } throws: { ($0 as? Fault)?.code == .notFound }
            let authority = try CertificateAuthority(named: "A cloud", now: now)
            try AtomicFile.write(try authority.issue(for: ["a"], now: now).file(), to: path)
            let listener = try ListenerContext(path: path, now: now)
            let first = listener.current
            #expect(try !listener.follow(now: now))
            #expect(listener.current === first)
            try AtomicFile.write(Array("half".utf8), to: path)
            #expect(throws: Fault.self) { try listener.follow(now: now) }
            #expect(listener.current === first)
            try AtomicFile.write(try authority.issue(for: ["b"], now: now).file(), to: path)
            #expect(try listener.follow(now: now))
            #expect(listener.current !== first)
        }
    }

    /// Keys as `openssl` writes them, in every format that operators bring.
    @Test(arguments: [
        ["ecparam", "-name", "prime256v1", "-genkey", "-noout"], ["ecparam", "-name", "secp384r1", "-genkey", "-noout"],
        ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], ["genrsa", "-traditional", "2048"],
        ["genpkey", "-algorithm", "ED25519"],
    ])
    func keysThatOpenSSLMakesServe(arguments: [String]) async throws {
        try await withFolder { folder in
            // Options go before the number of bits.
            try await Command.run("openssl", [arguments[0], "-out", folder + "/key"] + arguments.dropFirst())
            try await Command.run(
                "openssl",
                [
                    "req", "-x509", "-key", folder + "/key", "-subj", "/CN=a", "-addext", "subjectAltName=DNS:a.example.org",
                    "-days",
                    "2", "-out", folder + "/crt",
                ])
            let read = try CertificateTests.read(
                AtomicFile.read(folder + "/crt") ?? [], AtomicFile.read(folder + "/key") ?? [],
                at: Chance.system.now() + .seconds(60))
            #expect(read.names == ["a.example.org"])
            _ = try read.listenerContext()
        }
    }

    /// What the authority issues passes openssl's strict check of RFC 5280's profile.
    @Test func opensslVerifiesTheChainStrictly() async throws {
        try await withFolder { folder in
            let now = Chance.system.now()
            let authority = try CertificateAuthority(named: "A cloud", now: now)
            let made = try authority.issue(for: ["a.example.org", "10.0.0.1"], now: now)
            try AtomicFile.write(try authority.published(), to: folder + "/ca.pem")
            try AtomicFile.write(try CertificateTests.pem(made.chain[0]), to: folder + "/crt.pem")
            for host in [["-verify_hostname", "a.example.org"], ["-verify_ip", "10.0.0.1"]] {
                let done = try await Command.attempt(
                    "openssl",
                    ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", folder + "/ca.pem"] + host + [
                        folder + "/crt.pem"
                    ])
                #expect(done.output.contains("OK"), "\(done)")
            }
            let wrong = try await Command.attempt(
                "openssl", ["verify", "-CAfile", folder + "/ca.pem", "-verify_ip", "10.0.0.2", folder + "/crt.pem"])
            #expect(!wrong.output.contains("OK"))
        }
    }
}
