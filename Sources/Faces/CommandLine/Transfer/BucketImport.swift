//  Puts an export, or a folder of plain files, into a bucket. An index is read and its files are looked at
//  before anything is brought in; a version is brought in once its bytes are found to be those of its line.

import Fabric
import Model
import ObjectStorage
import Objects
import Platform

actor BucketImport {
    private let folder: String
    private let bucket: String
    private let account: String?
    private let store: TransferStore
    private var progress = TransferProgress()
    private var total = 0
    private let executor = BlockingExecutor(name: "karri.transfer.import")

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// How many versions of one key are remembered, which are brought in the oldest first: some hundred megabytes.
    private static let versionsMax = 100_000
    /// Once so many are remembered, no other key's are added.
    private static let waitingMax = 10_000
    /// A plain file that is longer comes in parts of such a length.
    private static let partBytes: Int64 = 1 << 30

    init(_ folder: String, into bucket: String, account: String?, of store: TransferStore) {
        self.folder = folder
        self.bucket = bucket
        self.account = account
        self.store = store
    }

    /// - Returns: Whether all could be given back as it was.
    func run() async throws(Fault) -> Bool {
        guard FileFacts(folder + "/.")?.kind == .folder else { throw Fault(.notFound, "\(folder) is no folder") }
        let description = try description()
        if description != nil { try await checkIndex() }
        let prepared = try await store.prepare(bucket, account: account, like: description)
        if prepared.made { Output.remark("made the bucket \(bucket)") }
        if description != nil {
            try await takeIndex(keepsVersions: prepared.keepsVersions)
        } else {
            try await takeFolder()
        }
        if account != nil, let description {
            for remark in try await store.finish(bucket, like: description) { progress.leaveOut(bucket, remark) }
        }
        let there = progress.found == 0 ? "" : ", \(progress.found) were there"
        Output.line("\(progress.versions) versions of \(progress.bytes) bytes are brought into \(bucket)\(there)")
        return progress.leftOut == 0
    }

    private func path(_ name: String) -> String { "\(folder)/\(name)" }

    /// The bucket that was exported; nil where the folder is no export.
    private func description() throws(Fault) -> BucketDescription? {
        let hasIndex = FileFacts(path(ExportNames.index)) != nil
        let facts = FileFacts(path(ExportNames.bucket))
        if !hasIndex, (facts?.size ?? 0) > ExportNames.bucketBytesMax { return nil }
        guard facts?.kind == .file, let json = try AtomicFile.read(path(ExportNames.bucket), limit: ExportNames.bucketBytesMax)
        else {
            guard !hasIndex else {
                throw Fault(
                    .wrongState,
                    "\(folder) has \(ExportNames.index), but no \(ExportNames.bucket): it is neither a whole export nor plain files"
                )
            }
            return nil
        }
        let description: BucketDescription
        do throws(Fault) { description = try BucketDescription(json: json) } catch {
            // A plain folder may have a file of that name.
            guard hasIndex else { return nil }
            throw Fault(error.code, "\(path(ExportNames.bucket)): \(error.message)")
        }
        guard hasIndex else { throw Fault(.wrongState, "the export in \(folder) was not ended: run karri objects export again") }
        return description
    }

    // MARK: An export

    /// The versions of an index in order, checked one by one.
    private struct Index {
        private var lines: FileLines
        private let path: String

        init(_ path: String) throws(Fault) {
            self.path = path
            lines = try FileLines(path)
        }

        mutating func next() async throws(Fault) -> VersionRecord? {
            let line: ArraySlice<UInt8>
            do throws(Fault) {
                guard let read = try await lines.next() else { return nil }
                line = read
            } catch { throw Fault(error.code, "\(path): \(error.message)") }
            do throws(Fault) { return try VersionRecord(json: Array(line)) } catch { throw here(error) }
        }

        /// A fault of the line that was read last.
        func here(_ fault: Fault) -> Fault { Fault(fault.code, "\(path), line \(lines.number): \(fault.message)") }
    }

    /// Reads all of the index, and looks whether its files are there.
    private func checkIndex() async throws(Fault) {
        var index = try Index(path(ExportNames.index))
        while let record = try await index.next() {
            total += 1
            guard !record.isMarker, record.leftOut == nil else { continue }
            guard let file = record.file, record.sha256 != nil, BodyPath.isInside(file) else {
                throw index.here(Fault(.malformedRequest, "it names no file of the export and its SHA-256"))
            }
            guard let facts = FileFacts(file, beneath: folder), facts.kind == .file else {
                throw index.here(Fault(.notFound, "\(file) is not there"))
            }
            guard facts.size == record.size else {
                throw index.here(Fault(.malformedRequest, "\(file) has \(facts.size) bytes, and not \(record.size)"))
            }
        }
    }

    private func takeIndex(keepsVersions: Bool) async throws(Fault) {
        var index = try Index(path(ExportNames.index))
        var keys: [[VersionRecord]] = []
        var waiting = 0
        while true {
            let record = try await index.next()
            if let record, let first = keys.last?.first, record.key == first.key, record.keyBase64 == first.keyBase64 {
                guard keys[keys.count - 1].count < BucketImport.versionsMax else {
                    throw index.here(Fault(.tooLarge, "its key has more than \(BucketImport.versionsMax) versions"))
                }
                keys[keys.count - 1].append(record)
                waiting += 1
                continue
            }
            if keys.count == transferWidth || waiting >= BucketImport.waitingMax || record == nil {
                try await take(keys, keepsVersions: keepsVersions)
                (keys, waiting) = ([], 0)
            }
            guard let record else { return }
            keys.append([record])
            waiting += 1
        }
    }

    /// Takes some keys' versions.
    private func take(_ keys: [[VersionRecord]], keepsVersions: Bool) async throws(Fault) {
        let jobs = keys.map { versions in { @Sendable in await self.outcome(of: versions, keepsVersions: keepsVersions) } }
        for result in await sideBySide(jobs) { try result.get() }
    }

    private func outcome(of versions: [VersionRecord], keepsVersions: Bool) async -> Result<Void, Fault> {
        do throws(Fault) { return .success(try await take(versions, keepsVersions: keepsVersions)) } catch {
            return .failure(error)
        }
    }

    /// Takes the versions of a key, the oldest first.
    private func take(_ versions: [VersionRecord], keepsVersions: Bool) async throws(Fault) {
        for record in versions.reversed() {
            if let why = record.leftOut {
                progress.leaveOut(record.shownName, "left out: \(why)")
                continue
            }
            if !keepsVersions, record.isLatest != true || record.isMarker {
                progress.leaveOut(record.shownName, "left out: \(bucket) keeps no versions")
                continue
            }
            do throws(Fault) { try await take(record) } catch {
                guard error.code == .damagedFile else { throw Fault(error.code, "\(record.shownName): \(error.message)") }
                // Newer ones would be put before it if it came later.
                progress.leaveOut(record.shownName, "left out, with what is newer of its key: \(error.message)")
                return
            }
        }
    }

    private func take(_ record: VersionRecord) async throws(Fault) {
        progress.tell("brought in", of: total)
        if try await store.find(record, in: bucket).there {
            progress.countFound()
            return
        }
        var asked = record
        (asked.file, asked.sha256, asked.leftOut) = (nil, nil, nil)
        guard let file = record.file, !record.isMarker else {
            return try await write(asked, named: record.shownName) { () throws(Fault) in nil }
        }
        let body = CheckedBody(try PlainFile(file, beneath: folder), name: file, size: record.size, sha256: record.sha256)
        try await write(asked, named: record.shownName) { () throws(Fault) in try await body.next() }
    }

    private func write(
        _ record: VersionRecord, named name: String, next: @escaping @Sendable () async throws(Fault) -> [UInt8]?
    ) async throws(Fault) {
        for remark in try await store.write(record, into: bucket, next: next) { progress.leaveOut(name, remark) }
        progress.count(record.size)
    }

    // MARK: A folder of plain files

    private func takeFolder() async throws(Fault) {
        var left = [""]
        var files: [(name: String, facts: FileFacts)] = []
        while let name = left.popLast() {
            let here = name.isEmpty ? folder : path(name)
            guard let facts = FileFacts(name.isEmpty ? folder + "/." : here) else {
                progress.leaveOut(here, "left out: it is gone, or its name is no UTF-8")
                continue
            }
            switch facts.kind {
            case .folder: left += try Folder.names(in: here).reversed().map { name.isEmpty ? $0 : "\(name)/\($0)" }
            case .file: files.append((name, facts))
            case .other: progress.leaveOut(here, "left out: it is no plain file")
            }
            if files.count == transferWidth {
                try await take(files)
                files = []
            }
        }
        try await take(files)
    }

    private func take(_ files: [(name: String, facts: FileFacts)]) async throws(Fault) {
        let jobs = files.map { file in { @Sendable in await self.outcome(of: file.name, file.facts) } }
        for result in await sideBySide(jobs) { try result.get() }
    }

    private func outcome(of name: String, _ facts: FileFacts) async -> Result<Void, Fault> {
        do throws(Fault) { return .success(try await takeFile(name, facts)) } catch { return .failure(error) }
    }

    private func takeFile(_ name: String, _ facts: FileFacts) async throws(Fault) {
        progress.tell("brought in")
        guard name.utf8.count <= ObjectKey.bytesMax else {
            progress.leaveOut(name, "left out: a key has \(ObjectKey.bytesMax) bytes at most")
            return
        }
        var record = VersionRecord(key: ObjectKey(name), size: facts.size)
        let there = try await store.find(record, in: bucket)
        if there.hasSize, there.size == facts.size, try await PlainFile.digest(of: name, beneath: folder).md5 == there.entityTag {
            progress.countFound()
            return
        }
        if let type = MediaTypes.type(of: name) { record.headers = ["content-type": type] }
        if facts.size > ObjectsService.uploadBytesMax { record.cutIntoParts(of: BucketImport.partBytes) }
        let body = CheckedBody(try PlainFile(name, beneath: folder), name: name, size: facts.size, sha256: nil)
        do throws(Fault) {
            try await write(record, named: name) { () throws(Fault) in try await body.next() }
        } catch {
            guard error.code == .damagedFile else { throw Fault(error.code, "\(name): \(error.message)") }
            progress.leaveOut(name, "left out: \(error.message)")
        }
    }
}

/// A file that has to be as it is known to be: its end is told only when it is.
private struct CheckedBody: Sendable {
    private let file: PlainFile
    private let name: String
    private let size: Int64
    private let sha256: String?

    init(_ file: PlainFile, name: String, size: Int64, sha256: String?) {
        self.file = file
        self.name = name
        self.size = size
        self.sha256 = sha256
    }

    func next() async throws(Fault) -> [UInt8]? {
        if let bytes = try await file.next() { return bytes }
        let digest = await file.digest
        guard digest.size == size else {
            throw Fault(.damagedFile, "\(name) has \(digest.size) bytes, and not \(size)")
        }
        guard sha256 == nil || digest.sha256 == sha256 else {
            throw Fault(.damagedFile, "\(name) is not as it was written: its SHA-256 is \(digest.sha256)")
        }
        return nil
    }
}

extension Fault.Code {
    /// A file that is not what it is said to be.
    fileprivate static let damagedFile = Fault.Code(rawValue: "damagedFile")
}

/// What browsers are to take a file for, by the end of its name (IANA media types).
enum MediaTypes {
    private static let known = [
        "avif": "image/avif", "bin": "application/octet-stream", "bmp": "image/bmp", "css": "text/css", "csv": "text/csv",
        "gif": "image/gif", "gz": "application/gzip", "htm": "text/html", "html": "text/html", "ico": "image/x-icon",
        "jpeg": "image/jpeg", "jpg": "image/jpeg", "js": "text/javascript", "json": "application/json", "md": "text/markdown",
        "mjs": "text/javascript", "mp3": "audio/mpeg", "mp4": "video/mp4", "pdf": "application/pdf", "png": "image/png",
        "svg": "image/svg+xml", "tar": "application/x-tar", "txt": "text/plain", "wasm": "application/wasm",
        "webm": "video/webm", "webp": "image/webp", "woff": "font/woff", "woff2": "font/woff2", "xml": "application/xml",
        "zip": "application/zip",
    ]

    static func type(of name: String) -> String? {
        guard let dot = name.lastIndex(of: "."), !name[dot...].contains("/") else { return nil }
        return known[name[name.index(after: dot)...].lowercased()]
    }
}
