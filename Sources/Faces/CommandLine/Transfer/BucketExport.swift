//  Writes a bucket as plain files. What is whole is in its place, and the index comes last: so an export that
//  was ended is known by having none, and passes over the files that have their version's size and time.

import Fabric
import Model
import ObjectStorage
import Objects
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// The names in an export's folder.
enum ExportNames {
    static let index = "index.jsonl"
    static let bucket = "bucket.json"
    /// A body that is not yet in its place.
    static let body = "body"
    /// The longest description of a bucket.
    static let bucketBytesMax = 16 << 20
}

actor BucketExport {
    private let bucket: String
    private let folder: String
    private let all: Bool
    private let store: TransferStore
    private var progress = TransferProgress()
    private var index: NewFile?
    /// Lines that wait to be written together.
    private var lines: [UInt8] = []
    /// Versions that wait to be written together, and where those of their bodies will lie that have a place.
    private var waiting: [VersionRecord] = []
    private var places: Set<String> = []
    /// The last folder that was found or made.
    private var lastFolder = ""
    /// The last key that a version got the plain path of. A key's versions are neighbours.
    private var lastPlain: ObjectKey?
    /// Folders with names that may not be on the disk yet.
    private var unsynced: Set<String> = []
    private let executor = BlockingExecutor(name: "karri.transfer.export")

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private static let lineBytes = 256 << 10
    /// So many folders are synced together.
    private static let unsyncedMax = 1024

    init(_ bucket: String, to folder: String, all: Bool, from store: TransferStore) {
        self.bucket = bucket
        self.folder = folder
        self.all = all
        self.store = store
    }

    /// - Returns: Whether nothing was left out.
    func run() async throws(Fault) -> Bool {
        var description = try await store.description(of: bucket)
        description.hasAllVersions = all
        try prepareFolder(description)
        let index = try NewFile(at: "\(folder)/\(ExportNames.index)\(NewFile.suffix)")
        self.index = index
        let outcome: Result<Void, Fault>
        do throws(Fault) { outcome = .success(try await write(index)) } catch { outcome = .failure(error) }
        if case .failure = outcome { await index.abandon() }
        try outcome.get()
        Output.line("\(progress.versions) versions of \(progress.bytes) bytes are in \(folder)")
        return progress.leftOut == 0
    }

    private func write(_ index: NewFile) async throws(Fault) {
        try await store.eachVersion(of: bucket, all: all) { try await self.take($0) }
        try await writeWaiting()
        try await index.write(lines)
        for slot in 0..<transferWidth { unlink(temporary(slot)) }
        // The bodies are synced; the index is there only when their names and folders are too.
        try syncFolders()
        try await index.place(at: "\(folder)/\(ExportNames.index)")
        try AtomicFile.syncFolder(of: "\(folder)/\(ExportNames.index)")
    }

    private func syncFolders() throws(Fault) {
        for path in unsynced { try AtomicFile.syncFolder(of: "\(path)/.") }
        try AtomicFile.syncFolder(of: folder)
        unsynced = []
        lastFolder = ""
    }

    private func prepareFolder(_ description: BucketDescription) throws(Fault) {
        try Folder.make(folder)
        let names = try Folder.names(in: folder).filter { !$0.hasPrefix(ExportNames.bucket + ".new.") }
        guard !names.contains(ExportNames.index) else {
            throw Fault(.alreadyExists, "\(folder) has a whole export: name another folder, or remove it")
        }
        let path = "\(folder)/\(ExportNames.bucket)"
        if !names.isEmpty {
            let isOurs: Bool
            if let before = try AtomicFile.read(path, limit: ExportNames.bucketBytesMax) {
                let begun = try? BucketDescription(json: before)
                isOurs =
                    begun?.name == description.name && begun?.created == description.created
                    && begun?.hasAllVersions == description.hasAllVersions
            } else {
                isOurs = false
            }
            guard isOurs else { throw Fault(.inUse, "\(folder) is not empty, and not such an export of \(bucket) that was begun") }
            Output.remark("goes on with the export that was begun")
        }
        try AtomicFile.write(try description.json, to: path)
    }

    // MARK: Versions

    private func take(_ listed: VersionRecord) async throws(Fault) {
        waiting.append(listed)
        if waiting.count == transferWidth { try await writeWaiting() }
    }

    /// Writes the bodies of some versions side by side, and then their lines in order.
    private func writeWaiting() async throws(Fault) {
        var jobs: [@Sendable () async -> Result<VersionRecord?, Fault>] = []
        for (slot, listed) in waiting.enumerated() {
            let path = listed.leftOut == nil && !listed.isMarker ? try place(of: listed) : nil
            jobs.append { await self.outcome(of: listed, at: path, slot) }
        }
        (waiting, places) = ([], [])
        for result in await sideBySide(jobs) {
            guard let record = try result.get() else { continue }
            if let why = record.leftOut { progress.leaveOut(record.shownName, why) } else { progress.count(record.size) }
            lines += try record.json + [0x0a]
        }
        if unsynced.count >= BucketExport.unsyncedMax { try syncFolders() }
        if lines.count >= BucketExport.lineBytes {
            try await index?.write(lines)
            lines = []
        }
        progress.tell("written")
    }

    /// A version's record once its body lies at a path; nil where it has been removed since it was listed.
    private func outcome(of listed: VersionRecord, at path: String?, _ slot: Int) async -> Result<VersionRecord?, Fault> {
        guard let path else { return .success(listed) }
        do throws(Fault) { return .success(try await takeBody(of: listed, to: path, slot)) } catch {
            switch error.code {
            case .notFound: return .success(nil)
            case .unreadable:
                var record = listed
                record.leftOut = error.message
                return .success(record)
            default: return .failure(error)
            }
        }
    }

    private func temporary(_ slot: Int) -> String { "\(folder)/\(ExportNames.body)-\(slot)\(NewFile.suffix)" }

    /// Writes a version's body, unless it is there.
    private func takeBody(of listed: VersionRecord, to path: String, _ slot: Int) async throws(Fault) -> VersionRecord {
        if let digest = try await found(listed, at: "\(folder)/\(path)") { return listed.lying(at: path, digest) }
        let file = try NewFile(at: temporary(slot))
        let outcome: Result<VersionRecord, Fault>
        do throws(Fault) { outcome = .success(try await fill(file, with: listed, at: path)) } catch { outcome = .failure(error) }
        if case .failure = outcome { await file.abandon() }
        return try outcome.get()
    }

    private func fill(_ file: NewFile, with listed: VersionRecord, at path: String) async throws(Fault) -> VersionRecord {
        var record = listed
        if listed.size > 0 {
            record = try await store.read(listed, in: bucket) { bytes throws(Fault) in try await file.write(bytes) }
            (record.sequence, record.isLatest) = (listed.sequence, listed.isLatest)
        }
        let digest = await file.digest
        guard digest.size == record.size else {
            throw Fault(.unavailable, "\(path) came with \(digest.size) of \(record.size) bytes")
        }
        try await file.place(at: "\(folder)/\(path)", modified: record.modifiedAt)
        return record.lying(at: path, digest)
    }

    /// Where a version's body is to lie, in a folder that is there.
    private func place(of record: VersionRecord) throws(Fault) -> String {
        let key = try record.objectKey
        if record.isLatest == true, key != lastPlain, let plain = BodyPath.plain(key), try isFree(plain) {
            lastPlain = key
            return plain
        }
        let escaped = BodyPath.escaped(key, version: record.version ?? "null")
        guard try isFree(escaped) else { throw Fault(.storage, "\(folder)/\(escaped) cannot be made: something else is there") }
        return escaped
    }

    /// Makes the folder of a path.
    ///
    /// - Returns: Whether a file may lie at the path: no folder does, and no file where a folder is to be.
    private func isFree(_ path: String) throws(Fault) -> Bool {
        let names = path.split(separator: "/")
        let parent = names.dropLast().joined(separator: "/")
        if parent != lastFolder {
            var above = folder
            for name in names.dropLast() {
                above += "/\(name)"
                if places.contains(above) { return false }
                if let there = FileFacts(above), there.kind != .folder { return false }
            }
            try Folder.make(above)
            lastFolder = parent
            for count in 0...max(0, names.count - 1) {
                unsynced.insert(([folder[...]] + names.prefix(count)).joined(separator: "/"))
            }
        }
        guard FileFacts("\(folder)/\(path)").map({ $0.kind == .file }) ?? true else { return false }
        places.insert("\(folder)/\(path)")
        return true
    }

    /// What is made of a version's body, if an export that was ended has put it in place.
    private func found(_ record: VersionRecord, at path: String) async throws(Fault) -> FileDigest? {
        guard let facts = FileFacts(path), facts.size == record.size, facts.modified == record.modifiedAt?.microseconds else {
            return nil
        }
        let digest = try await PlainFile.digest(of: path)
        // Of what came whole the entity tag tells its bytes.
        let isPlainTag = record.etag.map { $0.utf8.count == 32 } ?? false
        return isPlainTag && record.etag != digest.md5 ? nil : digest
    }
}

extension VersionRecord {
    /// What people know it by.
    var shownName: String {
        let key = Output.plain(key ?? "key \(keyBase64 ?? "")")
        return isLatest == true || version == nil ? key : "\(key), version \(version ?? "")"
    }

    fileprivate func lying(at path: String, _ digest: FileDigest) -> VersionRecord {
        var record = self
        (record.file, record.sha256) = (path, digest.sha256)
        return record
    }
}
