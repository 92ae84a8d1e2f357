//  The TLS context of a listener, which follows its file: connections that come after a renewal get
//  the new certificate, and those that are there keep the old one. Nothing is restarted.

import Model
import NIOSSL
import Platform
import Synchronization

/// What a listener serves TLS with just now.
public final class ListenerContext: Sendable {
    private struct State {
        var file: [UInt8]
        var context: NIOSSLContext
    }

    private let path: String
    private let state: Mutex<State>

    /// Reads the certificate and key of one file.
    ///
    /// - Throws: `.notFound`, `.invalidParameter`, `.storage`.
    public init(path: String, now: Instant) throws(Fault) {
        self.path = path
        let file = try ListenerContext.read(path)
        let context = try ServerCertificate(file: file, named: path, now: now).listenerContext()
        state = Mutex(State(file: file, context: context))
    }

    public var current: NIOSSLContext { state.withLock { $0.context } }

    /// Takes the file's content if it is another. Does not suspend; the file is small.
    ///
    /// - Returns: Whether there is a new certificate.
    /// - Throws: As `init`; the certificate that was good goes on being used.
    public func follow(now: Instant) throws(Fault) -> Bool {
        let file = try ListenerContext.read(path)
        guard state.withLock({ $0.file != file }) else { return false }
        let context = try ServerCertificate(file: file, named: path, now: now).listenerContext()
        state.withLock { $0 = State(file: file, context: context) }
        return true
    }

    private static func read(_ path: String) throws(Fault) -> [UInt8] {
        guard let file = try AtomicFile.read(path, limit: ServerCertificate.bytesMax) else {
            throw Fault(.notFound, "there is no \(path): karri up makes it")
        }
        return file
    }
}
