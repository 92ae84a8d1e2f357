//  The certificate that the API's listener serves, kept where *control* reads it. Only root reads the
//  operator's key, so root looks whether the operator's files changed and hands the checked pair on;
//  where the operator brings none, an authority of the cloud's own signs one and renews it in time.

import Certificates
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// Where a listener's certificate comes from.
public enum CertificateSource: Sendable, Hashable {
    /// Files of the operator's, in PEM.
    case files(certificate: String, key: String)
    /// The cloud's own authority, for these names and addresses.
    case own(names: [String])
}

/// Puts the API's certificate in place and keeps it current. Root's work.
public struct ListenerCertificate: Sendable {
    private let installation: Installation
    private let source: CertificateSource
    /// The group that may read what the listener serves.
    private let group: UInt32

    public init(_ installation: Installation, _ source: CertificateSource, group: UInt32) {
        self.installation = installation
        self.source = source
        self.group = group
    }

    /// Reads and checks an operator's pair.
    ///
    /// - Throws: `.notFound` for a missing file, `.invalidParameter` for one that cannot serve.
    public static func read(certificate: String, key: String, now: Instant) throws(Fault) -> ServerCertificate {
        try ServerCertificate(
            certificate: try content(certificate, "certificate"), key: try content(key, "private key"), names: (certificate, key),
            now: now)
    }

    private static func content(_ path: String, _ what: String) throws(Fault) -> [UInt8] {
        var facts = stat()
        guard stat(path, &facts) == 0 else { throw Fault(.notFound, "the \(what) \(path) cannot be read: \(systemError())") }
        // A pipe would wait for ever.
        guard facts.st_mode & S_IFMT == S_IFREG else { throw Fault(.invalidParameter, "the \(what) \(path) is not a file") }
        return try AtomicFile.read(path, limit: ServerCertificate.bytesMax) ?? []
    }

    /// Puts the certificate in place that should be served now. Safe to run again.
    ///
    /// - Returns: Whether it is another than before.
    /// - Throws: As `read`; what was served before stays.
    public func prepare(now: Instant) throws(Fault) -> Bool {
        try makeFolder()
        let wanted: ServerCertificate
        switch source {
        case .files(let certificate, let key):
            wanted = try ListenerCertificate.read(certificate: certificate, key: key, now: now)
        case .own(let names):
            let authority = try authority(now: now)
            if let served = try served(now: now), !authority.shouldReplace(served, for: names, now: now) { return false }
            wanted = try authority.issue(for: names, now: now)
        }
        let file = try wanted.file()
        guard try AtomicFile.read(installation.listenerCertificate, limit: ServerCertificate.bytesMax) != file else { return false }
        try install(file)
        return true
    }

    /// What is served now; nil for nothing, or what could not be.
    private func served(now: Instant) throws(Fault) -> ServerCertificate? {
        let path = installation.listenerCertificate
        guard let file = try AtomicFile.read(path, limit: ServerCertificate.bytesMax) else { return nil }
        do throws(Fault) {
            return try ServerCertificate(file: file, named: path, now: now)
        } catch { return nil }
    }

    /// The cloud's authority, made where there is none, and its certificate where everybody finds it.
    private func authority(now: Instant) throws(Fault) -> CertificateAuthority {
        let path = installation.certificateAuthority
        let authority: CertificateAuthority
        if let file = try AtomicFile.read(path, limit: ServerCertificate.bytesMax) {
            authority = try CertificateAuthority(file: file, named: path)
        } else {
            authority = try CertificateAuthority(named: "Karri (\(installation.mark))", now: now)
            try AtomicFile.write(try authority.file(), to: path, mode: 0o600)
        }
        let published = try authority.published()
        let trusted = installation.trustedCertificate
        if try AtomicFile.read(trusted, limit: ServerCertificate.bytesMax) != published {
            try AtomicFile.write(published, to: trusted, mode: 0o644)
        }
        return authority
    }

    private func makeFolder() throws(Fault) {
        let folder = installation.certificates
        guard mkdir(folder, 0o750) == 0 || errno == EEXIST, chown(folder, 0, group) == 0, chmod(folder, 0o750) == 0 else {
            throw Fault(.storage, "could not make \(folder): \(systemError())")
        }
    }

    /// Named last, so that *control* never sees a file that it may not read.
    private func install(_ file: [UInt8]) throws(Fault) {
        let path = installation.listenerCertificate
        let fresh = path + ".fresh"
        try AtomicFile.write(file, to: fresh, mode: 0o640)
        guard chown(fresh, 0, group) == 0, rename(fresh, path) == 0 else {
            let fault = Fault(.storage, "could not put \(path) in place: \(systemError())")
            unlink(fresh)
            throw fault
        }
        try AtomicFile.syncFolder(of: path)
    }
}

extension Installation {
    /// Root's and *control*'s.
    var certificates: String { configuration + "/tls" }
    /// The certificate and key that the API's listener serves.
    public var listenerCertificate: String { certificates + "/listener.pem" }
    /// The cloud's own authority, with its key. Root's alone.
    var certificateAuthority: String { certificates + "/authority.pem" }
    /// The certificate that clients of a cloud with an authority of its own trust. Everybody's.
    public var trustedCertificate: String { state + "/ca.pem" }
}
