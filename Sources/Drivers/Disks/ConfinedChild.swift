//  Runs one program over a tenant's bytes in a confined child (CLinux's Confinement.h) and waits
//  for it on the calling thread, which must be a pool's or an import's own: the child dies with it.

import CLinux
import Glibc
import Model
import Platform
import Synchronization

/// A wish to stop, seen by blocking work that polls it.
final class Cancellation: Sendable {
    private let wished = Atomic(false)

    func cancel() { wished.store(true, ordering: .relaxed) }
    var isCancelled: Bool { wished.load(ordering: .relaxed) }

    func check() throws(Fault) {
        if isCancelled { throw Fault(.cancelled, "the import was cancelled") }
    }
}

struct ConfinedChild: Sendable {
    /// A file of the host that the child sees at `/name`.
    struct Shown: Sendable {
        var path: String
        var inside: String
        var isWritable = false
    }

    struct Limits: Sendable {
        var processorSeconds: UInt64
        var wall: Duration
        var addressSpace: UInt64 = 2 << 30
        var fileSize: UInt64 = 0
    }

    struct Outcome {
        /// The exit code, or -signal.
        var status: Int
        var output: String
        var error: String
    }

    /// What is kept of a child's words on either stream; more is read and dropped.
    private static let wordsMax = 64 << 10

    var user: UInt32
    /// An empty folder that the child's root is mounted on, in its own namespace.
    var root: String
    var shown: [Shown]
    var limits: Limits

    /// Runs `arguments[0]`, a path inside, to its end.
    ///
    /// - Parameters:
    ///   - input: A descriptor for its standard input, or nil for an empty one.
    ///   - onOutput: Called with each piece of its standard output.
    ///   - watch: Called about five times a second; what it throws kills the child and is thrown.
    /// - Throws: `timedOut` after the wall time, `driver` if it cannot be started or confined.
    func run(
        _ arguments: [String], input: Int32? = nil, onOutput: (ArraySlice<UInt8>) -> Void = { _ in },
        watch: () throws(Fault) -> Void = {}
    ) throws(Fault) -> Outcome {
        let output = try Pipe()
        let error = try Pipe()
        let nothing = try Pipe()
        let child = try spawn(arguments, input: input ?? nothing.reading, output: output.writing, error: error.writing)
        output.closeWriting()
        error.closeWriting()
        nothing.closeWriting()
        do throws(Fault) {
            let words = try follow(output: output.reading, error: error.reading, onOutput: onOutput, watch: watch)
            let status = reap(child)
            if status == 125 { throw Fault(.driver, "a confined child could not be set up", cause: words.error) }
            return Outcome(status: status, output: words.output, error: words.error)
        } catch {
            kill(child, SIGKILL)
            _ = reap(child)
            throw error
        }
    }

    /// Starts the child and does not wait for it.
    func spawn(_ arguments: [String], input: Int32, output: Int32, error: Int32) throws(Fault) -> pid_t {
        let texts = CStrings(arguments + [root] + shown.flatMap { [$0.path, $0.inside] })
        let rest = arguments.count + 1
        let files = shown.indices.map { index in
            karri_shown(
                path: texts.pointers[rest + 2 * index], inside: texts.pointers[rest + 2 * index + 1],
                is_writable: shown[index].isWritable ? 1 : 0)
        }
        var vector: [UnsafeMutablePointer<CChar>?] = Array(texts.pointers.prefix(arguments.count))
        vector.append(nil)
        let child = files.withUnsafeBufferPointer { files in
            var confinement = karri_confinement(
                root: texts.pointers[arguments.count], shown: files.baseAddress, shown_count: files.count, user: user, group: user,
                processor_seconds: limits.processorSeconds, address_space: limits.addressSpace, file_size: limits.fileSize,
                descriptors: 64, processes: 256)
            return karri_spawn_confined(&confinement, &vector, input, output, error)
        }
        guard child > 0 else { throw Fault(.driver, "a confined child could not be started: \(systemError())") }
        return child
    }

    private func follow(
        output: Int32, error: Int32, onOutput: (ArraySlice<UInt8>) -> Void, watch: () throws(Fault) -> Void
    ) throws(Fault) -> (output: String, error: String) {
        let deadline = ContinuousClock.now + limits.wall
        var kept: [[UInt8]] = [[], []]
        var streams = [pollfd(fd: output, events: Int16(POLLIN), revents: 0), pollfd(fd: error, events: Int16(POLLIN), revents: 0)]
        var buffer = [UInt8](repeating: 0, count: 4096)
        while streams.contains(where: { $0.fd >= 0 }) {
            guard ContinuousClock.now < deadline else { throw Fault(.timedOut, "the converter took longer than \(limits.wall)") }
            try watch()
            guard poll(&streams, nfds_t(streams.count), 200) > 0 else { continue }
            for index in streams.indices where streams[index].fd >= 0 && streams[index].revents != 0 {
                let count = read(streams[index].fd, &buffer, buffer.count)
                if count < 0, errno == EINTR || errno == EAGAIN { continue }
                guard count > 0 else {
                    streams[index].fd = -1
                    continue
                }
                let piece = buffer[..<count]
                if index == 0 { onOutput(piece) }
                kept[index].append(contentsOf: piece.prefix(Self.wordsMax - kept[index].count))
            }
        }
        return (String(decoding: kept[0], as: UTF8.self), String(decoding: kept[1], as: UTF8.self))
    }

    private func reap(_ child: pid_t) -> Int {
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        return status & 0x7f == 0 ? Int(status >> 8 & 0xff) : -Int(status & 0x7f)
    }
}

/// A pipe whose ends close when it goes.
private final class Pipe {
    let reading: Int32
    private(set) var writing: Int32

    init() throws(Fault) {
        var ends: [Int32] = [-1, -1]
        guard karri_pipe(&ends) == 0 else { throw Fault(.driver, "no pipe could be made: \(systemError())") }
        (reading, writing) = (ends[0], ends[1])
    }

    func closeWriting() {
        if writing >= 0 { close(writing) }
        writing = -1
    }

    deinit {
        closeWriting()
        close(reading)
    }
}

/// Zero-terminated copies of some texts, freed when it goes.
private final class CStrings {
    let pointers: [UnsafeMutablePointer<CChar>?]

    init(_ texts: [String]) { pointers = texts.map { strdup($0) } }
    deinit { for pointer in pointers { free(pointer) } }
}
