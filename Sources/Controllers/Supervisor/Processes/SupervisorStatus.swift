//  What `karri status` reads: who supervises, and how each process is. The next supervisor reads it
//  too, to end what a killed one left behind.

import Model
import Platform

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The supervisor's file about itself, rewritten at each change.
public struct SupervisorStatus: Sendable, Hashable, Codable {
    public struct Child: Sendable, Hashable, Codable {
        public enum State: String, Sendable, Hashable, Codable {
            case waiting, starting, ready, pausing, stopping, stopped
        }
        public var name: String
        public var state: State
        public var process: ProcessIdentity?
        /// When the state began.
        public var since: Instant
        public var restarts: Int
        public var lastExit: ChildExit?
    }

    public var supervisor: ProcessIdentity?
    public var children: [Child]
    /// Why the whole ended, if it was not told to.
    public var failure: String?

    /// Whether every process is up.
    public var isReady: Bool { children.allSatisfy { $0.state == .ready } }
    /// Whether the supervisor that wrote it still lives.
    public var isCurrent: Bool { supervisor?.isAlive ?? false }

    /// - Returns: Nil if there is no such file.
    /// - Throws: `Fault.storage` for a file that is not one of these.
    public static func read(_ path: String) throws(Fault) -> SupervisorStatus? {
        guard let bytes = try AtomicFile.read(path, limit: 1 << 20) else { return nil }
        do {
            return try JSONDecoder().decode(SupervisorStatus.self, from: Data(bytes))
        } catch {
            throw Fault(.storage, "\(path) is not a supervisor's status", because: error)
        }
    }

    func write(_ path: String) throws(Fault) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let data: Data
        do { data = try encoder.encode(self) } catch { throw Fault(.internalError, "the status cannot be encoded", because: error) }
        try AtomicFile.write(Array(data), to: path, mode: 0o644)
    }
}
