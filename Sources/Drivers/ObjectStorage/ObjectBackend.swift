//  The object store's seam: where buckets, versions and bodies lie. Rules of S3 live above it, in the
//  service; a backend keeps what it is told, changes a key at once or not at all, and gives back no
//  byte that it did not take. One suite runs over every backend.

import Model
import NIOCore
import Synchronization

/// A place for objects: files and databases of a host, memory, or a cluster of others.
public protocol ObjectBackend: Sendable {
    // MARK: Buckets

    /// Adds a bucket, whose place the backend chooses; nil where one of its name is there already, whoever owns it.
    func add(_ bucket: Bucket) async throws(Fault) -> Bucket?

    func bucket(named name: String) async throws(Fault) -> Bucket?

    /// An account's buckets, by name.
    func buckets(of account: ID<Account>) async throws(Fault) -> [Bucket]

    /// All accounts' buckets by name, from after one on.
    func buckets(after name: String, limit: Int) async throws(Fault) -> [Bucket]

    /// How many buckets an account has.
    func bucketCount(of account: ID<Account>) async throws(Fault) -> Int

    /// What lies in a bucket.
    func usage(of bucket: Bucket) async throws(Fault) -> BucketUsage

    /// What of that is of uploads that have not ended: counted when it is asked for.
    func unfinished(in bucket: Bucket) async throws(Fault) -> UnfinishedUploads

    /// What lies in all of an account's buckets.
    func usage(of account: ID<Account>) async throws(Fault) -> BucketUsage

    /// How many bytes may lie in an account's buckets together; nil: as many as there is room for.
    func bytesMax(of account: ID<Account>) -> Int64?
    func setBytesMax(_ bytes: Int64?, of account: ID<Account>) async throws(Fault)

    /// Changes what is set for a bucket, durable when this returns; what the closure throws changes nothing.
    /// The closure may run more than once.
    func update<T: Sendable>(
        _ bucket: Bucket, _ body: @escaping @Sendable (inout BucketSettings) throws(Fault) -> T
    ) async throws(Fault) -> T

    /// Removes a bucket with the uploads that have not ended in it.
    ///
    /// - Throws: `inUse` while it holds any version.
    func remove(_ bucket: Bucket) async throws(Fault)

    // MARK: Bodies

    /// Takes a body's bytes in order. Until a version names it in a change, it is garbage that the backend
    /// finds and removes by itself, also after a crash.
    ///
    /// - Parameter size: How many bytes will come, where that is known: a small body is kept with its key.
    func stage(size: Int64?, in bucket: Bucket) async throws(Fault) -> any BodySink

    /// Reads a part of a body, checked as it is read. Once this has returned, all of the part can be read,
    /// whatever becomes of its version.
    ///
    /// - Throws: `bodyIsDamaged` at the first stretch that is not as it was written; `bodyIsGone` where the
    ///   version has been replaced before this was called; `storage` where the disk does not let it be read.
    func read(_ body: BodyReference, _ range: Range<Int64>, in bucket: Bucket) async throws(Fault) -> BodySource

    /// The parts that a body is made of; none of one that came whole.
    ///
    /// - Throws: `bodyIsGone` where the version has been replaced.
    func pieces(of body: BodyReference, in bucket: Bucket) async throws(Fault) -> [ObjectPart]

    // MARK: Keys

    /// Changes a key's versions in one step, durable when this returns. The closure may run more than once.
    func change<T: Sendable>(
        _ key: ObjectKey, in bucket: Bucket, _ body: @escaping @Sendable (any KeyChange) throws(Fault) -> T
    ) async throws(Fault) -> T

    /// A version, or the current one where none is named.
    ///
    /// - Parameter forReading: Whether its body is about to be read: a small one comes along.
    func find(_ key: ObjectKey, version: VersionID?, in bucket: Bucket, forReading: Bool) async throws(Fault) -> ObjectVersion?

    /// A page of versions, in one snapshot: `ListingPage(request, reading:)` makes it.
    func list(
        _ request: ListingRequest<ListedObject>, _ versions: ListedVersions, of bucket: Bucket
    ) async throws(Fault) -> ListingPage<ListedObject>

    // MARK: Uploads in parts

    /// An upload that has begun and not ended; nil where there is none of that id for the key.
    func upload(_ id: UploadID, of key: ObjectKey, in bucket: Bucket) async throws(Fault) -> PartedUpload?

    /// A page of the uploads that have begun and not ended, by key and then by id, in one snapshot.
    func uploads(
        _ request: ListingRequest<PartedUpload>, of bucket: Bucket
    ) async throws(Fault) -> ListingPage<PartedUpload>

    /// An upload's parts by number, from after one on.
    func parts(of upload: UploadID, in bucket: Bucket, after: Int, limit: Int) async throws(Fault) -> [UploadedPart]

    // MARK: Work

    /// What the backend has to do that no call waits for.
    var work: [any BackgroundWork] { get }

    /// Ends it. Its work has been left before.
    func close() async
}

extension ObjectBackend {
    /// A version, or the current one where none is named.
    public func find(_ key: ObjectKey, version: VersionID?, in bucket: Bucket) async throws(Fault) -> ObjectVersion? {
        try await find(key, version: version, in: bucket, forReading: false)
    }
}

/// What a change sees of its key, and does to it.
public protocol KeyChange {
    /// The newest version, which may be a delete marker.
    func current() throws(Fault) -> ObjectVersion?
    func version(_ id: VersionID) throws(Fault) -> ObjectVersion?
    /// An id that is greater than those of all versions that the key has.
    func nextID() throws(Fault) -> VersionID
    /// Where the newest version stands; nil where there is none.
    func newestSequence() throws(Fault) -> UInt64?
    /// Adds a version, which becomes the current one; one of its id is replaced. Its body is kept from now on.
    ///
    /// - Parameter sequence: Where one without an id stands: behind `newestSequence`. Nil: at the next place. Ids are
    ///   the places of those that have one.
    func put(_ version: ObjectVersion, at sequence: UInt64?) throws(Fault)
    /// What lies in the bucket, with what this change has done so far.
    var usage: BucketUsage { get }
    /// Gives a version another detail, where it stands.
    func revise(_ id: VersionID, _ detail: ObjectDetail) throws(Fault)
    /// Removes a version, if it is there; its body becomes garbage.
    func remove(_ id: VersionID) throws(Fault)

    /// An upload of this key; nil when there is none of that id.
    func upload(_ id: UploadID) throws(Fault) -> PartedUpload?
    func begin(_ upload: PartedUpload) throws(Fault)
    /// Adds a part to an upload that is there, in place of one of its number.
    func put(_ part: UploadedPart, of upload: UploadID) throws(Fault)
    /// All parts of an upload, by number.
    func parts(of upload: UploadID) throws(Fault) -> [UploadedPart]
    /// Ends an upload: the parts that are named become one body, the others garbage.
    ///
    /// - Parameter parts: Their numbers rise.
    func end(_ upload: UploadID, keeping parts: [Int]) throws(Fault) -> BodyReference
}

extension KeyChange {
    /// Adds a version, which becomes the current one; one of its id is replaced. Its body is kept from now on.
    public func put(_ version: ObjectVersion) throws(Fault) { try put(version, at: nil) }
}

/// Takes the bytes of a body.
public protocol BodySink: Sendable {
    func append(_ bytes: ByteBuffer) async throws(Fault)
    /// The body, once all its bytes are where the next change makes them durable.
    func finish() async throws(Fault) -> BodyReference
    /// Drops what was taken: the upload was refused or broke off.
    func abandon() async
}

/// The bytes of a body, a stretch at a time.
public struct BodySource: AsyncSequence, Sendable {
    public typealias Element = ByteBuffer

    private let next: @Sendable () async throws(Fault) -> ByteBuffer?

    /// - Parameter next: The next stretch; nil at the end.
    public init(next: @escaping @Sendable () async throws(Fault) -> ByteBuffer?) { self.next = next }

    public struct Iterator: AsyncIteratorProtocol, Sendable {
        let read: @Sendable () async throws(Fault) -> ByteBuffer?
        public func next() async throws(Fault) -> ByteBuffer? { try await read() }
    }

    public func makeAsyncIterator() -> Iterator { Iterator(read: next) }
}

extension BodySource {
    /// A range of bytes that are at hand.
    ///
    /// - Throws: `bodyIsDamaged` where there are fewer than the range needs.
    init(_ bytes: [UInt8], _ range: Range<Int64>) throws(Fault) {
        guard range.lowerBound >= 0, range.upperBound <= bytes.count else { throw ObjectFaults.bodyIsDamaged }
        self.init(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
    }

    /// Bytes that are at hand.
    public init(_ bytes: ArraySlice<UInt8>) {
        let whole = Mutex<ByteBuffer?>(bytes.isEmpty ? nil : ByteBuffer(bytes: bytes))
        self.init { () throws(Fault) in
            whole.withLock { left in
                defer { left = nil }
                return left
            }
        }
    }
}
