//  Objects in memory: the seam's twin, with the same rules and refusals, for tests.

import Model
import NIOCore
import Synchronization

/// A backend that forgets everything with its process.
public final class MemoryBackend: ObjectBackend {
    private struct State {
        var buckets: [String: Bucket] = [:]
        /// Versions, the newest first, with their bodies in them.
        var keys: [ID<Bucket>: [ObjectKey: [MemoryVersion]]] = [:]
        var lastSequence: UInt64 = 0
        var quotas: [ID<Account>: Int64] = [:]

        func usage(of bucket: ID<Bucket>) -> BucketUsage {
            var usage = BucketUsage()
            for versions in (keys[bucket] ?? [:]).values {
                usage = versions.reduce(usage) { $0 + BucketUsage(versions: 1, bytes: $1.version.size) }
            }
            for upload in (uploads[bucket] ?? [:]).values { usage.bytes += upload.parts.values.reduce(0) { $0 + $1.size } }
            return usage
        }
        var uploads: [ID<Bucket>: [UploadID: MemoryUpload]] = [:]
    }

    private let state = Mutex(State())

    public init() {}

    public func add(_ bucket: Bucket) async throws(Fault) -> Bucket? {
        state.withLock { state in
            guard state.buckets[bucket.name] == nil else { return nil }
            state.buckets[bucket.name] = bucket
            state.keys[bucket.id] = [:]
            return bucket
        }
    }

    public func bucket(named name: String) async throws(Fault) -> Bucket? { state.withLock { $0.buckets[name] } }

    public func buckets(of account: ID<Account>) async throws(Fault) -> [Bucket] {
        state.withLock { $0.buckets.values.filter { $0.account == account } }.sorted { $0.name < $1.name }
    }

    public func buckets(after name: String, limit: Int) async throws(Fault) -> [Bucket] {
        let all = state.withLock { Array($0.buckets.values) }
        return Array(all.filter { $0.name > name }.sorted { $0.name < $1.name }.prefix(limit))
    }

    public func bucketCount(of account: ID<Account>) async throws(Fault) -> Int { try await buckets(of: account).count }

    public func usage(of account: ID<Account>) async throws(Fault) -> BucketUsage {
        state.withLock { state in
            let own = state.buckets.values.filter { $0.account == account }
            return own.reduce(BucketUsage()) { $0 + state.usage(of: $1.id) }
        }
    }

    public func usage(of bucket: Bucket) async throws(Fault) -> BucketUsage {
        let found = state.withLock { $0.keys[bucket.id] == nil ? nil : $0.usage(of: bucket.id) }
        guard let found else { throw ObjectFaults.bucketIsGone }
        return found
    }

    public func unfinished(in bucket: Bucket) async throws(Fault) -> UnfinishedUploads {
        state.withLock { $0.uploads[bucket.id] ?? [:] }.values.reduce(into: UnfinishedUploads()) { sum, upload in
            sum.count += 1
            sum.bytes += upload.parts.values.reduce(0) { $0 + $1.size }
        }
    }

    public func bytesMax(of account: ID<Account>) -> Int64? { state.withLock { $0.quotas[account] } }

    public func setBytesMax(_ bytes: Int64?, of account: ID<Account>) async throws(Fault) {
        state.withLock { $0.quotas[account] = bytes }
    }

    public func update<T: Sendable>(
        _ bucket: Bucket, _ body: @escaping @Sendable (inout BucketSettings) throws(Fault) -> T
    ) async throws(Fault) -> T {
        let outcome: Result<T, Fault> = state.withLock { state in
            guard var found = state.buckets[bucket.name], found.id == bucket.id else { return .failure(ObjectFaults.bucketIsGone) }
            do throws(Fault) {
                let result = try body(&found.settings)
                state.buckets[bucket.name] = found
                return .success(result)
            } catch { return .failure(error) }
        }
        return try outcome.get()
    }

    public func remove(_ bucket: Bucket) async throws(Fault) {
        let outcome: Result<Void, Fault> = state.withLock { state in
            // One that is gone is as it is to be.
            guard let keys = state.keys[bucket.id] else { return .success(()) }
            guard keys.isEmpty else { return .failure(ObjectFaults.bucketIsNotEmpty) }
            state.keys[bucket.id] = nil
            state.uploads[bucket.id] = nil
            state.buckets[bucket.name] = nil
            return .success(())
        }
        try outcome.get()
    }

    public func stage(size: Int64?, in bucket: Bucket) async throws(Fault) -> any BodySink { MemorySink() }

    public func read(_ body: BodyReference, _ range: Range<Int64>, in bucket: Bucket) async throws(Fault) -> BodySource {
        guard let bytes = MemoryBackend.bytes(of: body) else { throw ObjectFaults.bodyIsGone }
        return try BodySource(bytes, range)
    }

    public func pieces(of body: BodyReference, in bucket: Bucket) async throws(Fault) -> [ObjectPart] {
        guard case .joined(let pieces) = body else { return [] }
        var start: Int64 = 0
        return pieces.enumerated().map { place, piece in
            defer { start += piece.size }
            return ObjectPart(number: place + 1, start: start, size: piece.size, checksums: piece.checksums)
        }
    }

    private static func bytes(of body: BodyReference) -> [UInt8]? {
        switch body {
        case .inline(_, let bytes): bytes
        case .joined(let pieces): pieces.flatMap { bytes(of: $0.body) ?? [] }
        case .file, .segment, .pieces: nil
        }
    }

    public func change<T: Sendable>(
        _ key: ObjectKey, in bucket: Bucket, _ body: @escaping @Sendable (any KeyChange) throws(Fault) -> T
    ) async throws(Fault) -> T {
        let outcome: Result<T, Fault> = state.withLock { state in
            guard let before = state.keys[bucket.id] else { return .failure(ObjectFaults.bucketIsGone) }
            let change = MemoryChange(
                key, before[key] ?? [], state.uploads[bucket.id] ?? [:], after: state.lastSequence,
                before: state.usage(of: bucket.id))
            do throws(Fault) {
                let result = try body(change)
                state.keys[bucket.id]?[key] = change.versions.isEmpty ? nil : change.versions
                state.uploads[bucket.id] = change.uploads
                state.lastSequence = change.lastSequence
                return .success(result)
            } catch { return .failure(error) }
        }
        return try outcome.get()
    }

    public func find(
        _ key: ObjectKey, version: VersionID?, in bucket: Bucket, forReading: Bool
    ) async throws(Fault) -> ObjectVersion? {
        state.withLock { state in
            state.keys[bucket.id]?[key]?.first { version == nil || $0.version.id == version }?.version
        }
    }

    public func list(
        _ request: ListingRequest<ListedObject>, _ versions: ListedVersions, of bucket: Bucket
    ) async throws(Fault) -> ListingPage<ListedObject> {
        let keys = state.withLock { $0.keys[bucket.id] ?? [:] }.sorted { $0.key < $1.key }
        let all = keys.flatMap { key, versions in
            versions.enumerated().map { $1.listed(as: key, isLatest: $0 == 0) }
        }
        let shown = versions == .all ? all : all.filter { $0.isLatest && !$0.isDeleteMarker }
        return try ListingPage(request) { slice throws(Fault) in slice.cut(shown) { $0.place < $1 } }
    }

    public func upload(_ id: UploadID, of key: ObjectKey, in bucket: Bucket) async throws(Fault) -> PartedUpload? {
        state.withLock { $0.uploads[bucket.id]?[id]?.upload }.flatMap { $0.key == key ? $0 : nil }
    }

    public func uploads(
        _ request: ListingRequest<PartedUpload>, of bucket: Bucket
    ) async throws(Fault) -> ListingPage<PartedUpload> {
        let all = state.withLock { $0.uploads[bucket.id] ?? [:] }.values.map(\.upload).sorted { ($0.key, $0.id) < ($1.key, $1.id) }
        return try ListingPage(request) { slice throws(Fault) in slice.cut(all) { $0.place > $1 } }
    }

    public func parts(of upload: UploadID, in bucket: Bucket, after: Int, limit: Int) async throws(Fault) -> [UploadedPart] {
        let parts = state.withLock { $0.uploads[bucket.id]?[upload]?.parts ?? [:] }
        return Array(parts.values.filter { $0.number > after }.sorted { $0.number < $1.number }.prefix(limit))
    }

    public var work: [any BackgroundWork] { [] }

    public func close() async {}
}

extension ListingSlice {
    /// What of entries that are in order lies in the slice.
    fileprivate func cut<Entry: ListedEntry>(
        _ entries: [Entry], follows: (Entry, Place) -> Bool
    ) -> [Entry] where Entry.Place == Place {
        let inside = entries.filter { entry in
            if entry.key < from || upTo.map({ !(entry.key < $0) }) ?? false { return false }
            return entry.key != from || after.map { follows(entry, $0) } ?? true
        }
        return Array(inside.prefix(limit))
    }
}

private struct MemoryUpload {
    var upload: PartedUpload
    var parts: [Int: UploadedPart] = [:]
}

private struct MemoryVersion {
    var version: ObjectVersion
    var sequence: UInt64

    func listed(as key: ObjectKey, isLatest: Bool) -> ListedObject {
        ListedObject(
            key: key, size: version.size, entityTag: version.entityTag, modified: version.modified, version: version.id,
            sequence: sequence, isDeleteMarker: version.body == nil, owner: version.detail.owner,
            storageClass: version.detail.storageClass, checksum: version.detail.listedChecksum, isLatest: isLatest)
    }
}

private final class MemoryChange: KeyChange {
    let key: ObjectKey
    var versions: [MemoryVersion]
    var uploads: [UploadID: MemoryUpload]
    var lastSequence: UInt64
    var usage: BucketUsage

    init(
        _ key: ObjectKey, _ versions: [MemoryVersion], _ uploads: [UploadID: MemoryUpload], after lastSequence: UInt64,
        before usage: BucketUsage
    ) {
        self.usage = usage
        self.key = key
        self.versions = versions
        self.uploads = uploads
        self.lastSequence = lastSequence
    }

    func current() throws(Fault) -> ObjectVersion? { versions.first?.version }
    func version(_ id: VersionID) throws(Fault) -> ObjectVersion? { versions.first { $0.version.id == id }?.version }

    func nextID() throws(Fault) -> VersionID {
        lastSequence += 1
        return VersionID(bits: lastSequence)
    }

    func newestSequence() throws(Fault) -> UInt64? { versions.first?.sequence }

    func put(_ version: ObjectVersion, at sequence: UInt64?) throws(Fault) {
        try remove(version.id)
        let next = if let sequence { VersionID(bits: sequence) } else { try nextID() }
        let sequence = version.id == .null ? next : version.id
        lastSequence = max(lastSequence, sequence.bits)
        versions.insert(MemoryVersion(version: version, sequence: sequence.bits), at: 0)
        usage = usage + BucketUsage(versions: 1, bytes: version.size)
    }

    func revise(_ id: VersionID, _ detail: ObjectDetail) throws(Fault) {
        guard let place = versions.firstIndex(where: { $0.version.id == id }) else { return }
        versions[place].version.detail = detail
    }

    func remove(_ id: VersionID) throws(Fault) {
        for gone in versions where gone.version.id == id {
            usage = usage + BucketUsage(versions: -1, bytes: -gone.version.size)
        }
        versions.removeAll { $0.version.id == id }
    }

    func upload(_ id: UploadID) throws(Fault) -> PartedUpload? {
        uploads[id].flatMap { $0.upload.key == key ? $0.upload : nil }
    }
    func begin(_ upload: PartedUpload) throws(Fault) { uploads[upload.id] = MemoryUpload(upload: upload) }
    func put(_ part: UploadedPart, of upload: UploadID) throws(Fault) {
        usage.bytes += part.size - (uploads[upload]?.parts[part.number]?.size ?? 0)
        uploads[upload]?.parts[part.number] = part
    }
    func parts(of upload: UploadID) throws(Fault) -> [UploadedPart] {
        (uploads[upload]?.parts ?? [:]).values.sorted { $0.number < $1.number }
    }

    func end(_ upload: UploadID, keeping parts: [Int]) throws(Fault) -> BodyReference {
        let ended = uploads.removeValue(forKey: upload)?.parts ?? [:]
        let kept = parts.compactMap { ended[$0] }
        guard kept.count == parts.count else { throw ObjectFaults.partIsMissing }
        usage.bytes -= ended.values.reduce(0) { $0 + $1.size }
        return .joined(kept.map { BodyPiece(size: $0.size, body: $0.body, checksums: $0.checksums) })
    }
}

private actor MemorySink: BodySink {
    private var bytes: [UInt8] = []

    func append(_ buffer: ByteBuffer) { bytes.append(contentsOf: buffer.readableBytesView) }
    func finish() -> BodyReference { .inline(id: 0, bytes: bytes) }
    func abandon() { bytes = [] }
}
