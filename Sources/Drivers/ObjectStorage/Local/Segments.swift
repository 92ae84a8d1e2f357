//  Middling bodies share segment files, which one writer appends to and syncs for all that wait. A segment
//  only grows, and its number is never given again, so that bytes which were good once stay so until the
//  file goes. What of a segment no row names is garbage, whoever left it: an upload that broke off, a body
//  that was removed, a process that died. A file none of whose bytes has a row is known by having none itself.

import Dispatch
import FoundationEssentials
import Model
import NIOCore
import Platform
import Synchronization

/// The segments of a shard.
final class Segments: Sendable {
    /// A segment that has grown so long takes no more.
    static let segmentBytes: Int64 = 64 << 20
    /// The most that is written between two syncs.
    static let batchBytes = 8 << 20
    /// So much at once is written past the page cache, for as little as that costs; less is kept there for who reads
    /// what has just been written.
    static let pastCacheBytesMin: Int64 = 256 << 10
    /// How much of bodies that are coming in may be in memory; more go into files of their own as they come.
    static let roomBytes = 32 << 20
    /// How many segments are kept open for readers.
    static let openMax = 64

    private struct Append: Sendable {
        var pieces: [ByteBuffer]
        var size: Int64
        var answer: CheckedContinuation<Result<(segment: UInt64, start: Int64), Fault>, Never>
    }

    private struct State {
        var waiting: [Append] = []
        var isWriting = false
        var active: UInt64?
        /// Where in a segment bodies begin that have been appended and that no row names yet.
        var pending: [UInt64: Set<Int64>] = [:]
        var open: [UInt64: OpenFile] = [:]
        var roomTaken = 0
    }

    private struct Active: Sendable {
        let id: UInt64
        let file: OpenFile
        var length: Int64 = 0

        /// Where the next bytes go.
        func end(pastCache: Bool) -> Int64 { pastCache ? WriteBlocks.aligned(length) : length }
    }

    let folder: String
    private let room: DiskRoom
    private let number: @Sendable () -> UInt64
    private let blocks = WriteBlocks()
    private let thread = DispatchQueue(label: "karri.objects.segments")
    private let state = Mutex(State())
    /// The segment that is appended to, on `thread` alone.
    private let active = Mutex<Active?>(nil)

    /// - Parameters:
    ///   - number: A number that was never given before.
    init(folder: String, room: DiskRoom, number: @escaping @Sendable () -> UInt64) throws(Fault) {
        try Folder.make(folder)
        try AtomicFile.syncFolder(of: folder)
        self.folder = folder
        self.room = room
        self.number = number
    }

    func path(_ id: UInt64) -> String { "\(folder)/\(hexDigits(id))" }

    /// The segments whose files are there.
    func all() throws(Fault) -> [UInt64] {
        do { return try FileManager.default.contentsOfDirectory(atPath: folder).compactMap { UInt64($0, radix: 16) } } catch {
            throw Fault(.storage, "could not list \(folder)", because: error)
        }
    }

    /// Ends the segment that is appended to, once what waits is written, and gives back the room that it did not need.
    func settle() async {
        await withCheckedContinuation { continuation in
            thread.async {
                self.retire()
                continuation.resume()
            }
        }
    }

    // MARK: Room

    /// Room in memory for a body; nil where there is none left.
    func room(_ bytes: Int) -> SegmentRoom? {
        let isThere = state.withLock { state in
            guard state.roomTaken + bytes <= Segments.roomBytes else { return false }
            state.roomTaken += bytes
            return true
        }
        return isThere ? SegmentRoom(bytes, of: self) : nil
    }

    fileprivate func giveBack(_ bytes: Int) { state.withLock { $0.roomTaken -= bytes } }

    // MARK: Appending

    /// Appends a body; durable when this returns. It is pending until `letGo`.
    func append(_ pieces: [ByteBuffer], size: Int64) async throws(Fault) -> (segment: UInt64, start: Int64) {
        let result = await withCheckedContinuation { continuation in
            let starts = state.withLock { state in
                state.waiting.append(Append(pieces: pieces, size: size, answer: continuation))
                defer { state.isWriting = true }
                return !state.isWriting
            }
            if starts { thread.async { self.writeAll() } }
        }
        return try result.get()
    }

    /// Says of what was appended at a place that rows name it now, or that none ever will.
    func letGo(of segment: UInt64, _ start: Int64) {
        state.withLock { state in
            state.pending[segment]?.remove(start)
            if state.pending[segment]?.isEmpty == true { state.pending[segment] = nil }
        }
    }

    /// Whether nothing will be added to a segment, and no body in it waits for its row.
    func isSettled(_ segment: UInt64) -> Bool {
        state.withLock { $0.active != segment && $0.pending[segment] == nil }
    }

    private func writeAll() {
        while true {
            let batch = state.withLock { state in
                var bytes = 0
                let count = state.waiting.prefix { append in
                    defer { bytes += Int(append.size) }
                    return bytes == 0 || bytes + Int(append.size) <= Segments.batchBytes
                }.count
                let batch = Array(state.waiting.prefix(count))
                state.waiting.removeFirst(count)
                if batch.isEmpty { state.isWriting = false }
                return batch
            }
            if batch.isEmpty { return }
            let outcome: Result<(segment: UInt64, start: Int64), Fault>
            do throws(Fault) { outcome = .success(try write(batch)) } catch {
                // What the disk holds of it is not known.
                retire()
                outcome = .failure(error)
            }
            var before: Int64 = 0
            for append in batch {
                append.answer.resume(returning: outcome.map { ($0.segment, $0.start + before) })
                before += append.size
            }
        }
    }

    /// Writes bodies one after the other and syncs them.
    private func write(_ batch: [Append]) throws(Fault) -> (segment: UInt64, start: Int64) {
        let size = batch.reduce(0) { $0 + $1.size }
        let goesPastCache = size >= Segments.pastCacheBytesMin
        var active = try active(with: size, pastCache: goesPastCache)
        let start = active.end(pastCache: goesPastCache)
        try write(batch.flatMap(\.pieces), to: active.file, at: start, pastCache: goesPastCache)
        try active.file.sync()
        var starts: [Int64] = []
        active.length = start
        for append in batch {
            starts.append(active.length)
            active.length += append.size
        }
        self.active.withLock { [active] in $0 = active }
        state.withLock { $0.pending[active.id, default: []].formUnion(starts) }
        return (active.id, start)
    }

    private func write(_ pieces: [ByteBuffer], to file: OpenFile, at start: Int64, pastCache: Bool) throws(Fault) {
        file.goPastCache(pastCache)
        if pastCache { return try blocks.write(pieces, to: file, at: start) }
        var place = start
        for piece in pieces {
            try file.write(piece, at: place)
            place += Int64(piece.readableBytes)
        }
    }

    /// The segment that takes so many bytes: a new one where the last is full.
    private func active(with size: Int64, pastCache: Bool) throws(Fault) -> Active {
        if let active = active.withLock(\.self), active.end(pastCache: pastCache) + size <= Segments.segmentBytes {
            return active
        }
        retire()
        let made = number()
        // Before the file is there, so that nobody takes it for one that was left.
        state.withLock { $0.active = made }
        let file: OpenFile
        do throws(Fault) {
            file = try OpenFile(making: path(made), room: room.reservable(Segments.segmentBytes))
            try AtomicFile.syncFolder(of: path(made))
        } catch {
            try? OpenFile.remove(path(made))
            throw error
        }
        let active = Active(id: made, file: file)
        self.active.withLock { $0 = active }
        return active
    }

    private func retire() {
        // Room that cannot be given back is once the segment is compacted.
        let retired = active.withLock { active in
            defer { active = nil }
            return active
        }
        if let retired { try? retired.file.cut(to: retired.length) }
        state.withLock { $0.active = nil }
    }

    // MARK: Reading

    /// A segment's file; nil where it is gone.
    func file(_ id: UInt64) async throws(Fault) -> OpenFile? {
        if let file = state.withLock({ $0.open[id] }) { return file }
        let path = path(id)
        guard let file = try await BlockingPool.run({ () throws(Fault) in try OpenFile(reading: path) }) else { return nil }
        state.withLock { state in
            if state.open.count >= Segments.openMax, let some = state.open.keys.randomElement() { state.open[some] = nil }
            state.open[id] = file
        }
        return file
    }

    func remove(_ id: UInt64) async throws(Fault) {
        let path = path(id)
        try await BlockingPool.run { () throws(Fault) in try OpenFile.remove(path) }
        state.withLock { $0.open[id] = nil }
    }
}

/// Room in memory for one body, given back with its last user.
final class SegmentRoom: Sendable {
    let bytes: Int
    private let segments: Segments

    fileprivate init(_ bytes: Int, of segments: Segments) {
        self.bytes = bytes
        self.segments = segments
    }
    deinit { segments.giveBack(bytes) }
}
