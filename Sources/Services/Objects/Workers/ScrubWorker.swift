//  Reads everything that is stored, so that a byte that has gone bad is found before somebody needs it.

import Model
import ObjectStorage
import Synchronization

/// A version whose body is not as it was written.
public struct DamagedObject: Sendable, Hashable {
    public var bucket: String
    public var key: ObjectKey
    public var version: VersionID
    public var fault: String
    public var found: Instant
}

/// Walks all versions of all buckets.
public final class ScrubWorker: ObjectWorker {
    public let name = "scrub"
    public let interval = Duration.seconds(7 * 86_400)
    private let objects: ObjectsService
    private var backend: any ObjectBackend { objects.backend }
    private let state = Mutex((damaged: [DamagedObject](), versions: 0))

    /// How many are remembered.
    private static let damagedMax = 10_000

    public init(_ objects: ObjectsService) { self.objects = objects }

    /// What the last whole round found, and how many versions it read.
    public var found: (damaged: [DamagedObject], versions: Int) { state.withLock(\.self) }

    public func round(_ progress: WorkerProgress) async throws(Fault) -> String {
        var damaged: [DamagedObject] = []
        var (versions, bytes): (Int, Int64) = (0, 0)
        var after = ""
        while true {
            let page = try await backend.buckets(after: after, limit: 100)
            guard let last = page.last else { break }
            after = last.name
            for bucket in page { try await scrub(bucket, progress, &damaged, &versions, &bytes) }
        }
        state.withLock { $0 = (damaged, versions) }
        return "\(versions) versions of \(bytes) bytes read, \(damaged.count) damaged"
    }

    private func scrub(
        _ bucket: Bucket, _ progress: WorkerProgress, _ damaged: inout [DamagedObject], _ versions: inout Int, _ bytes: inout Int64
    ) async throws(Fault) {
        var next: ListingRequest<ListedObject>? = ListingRequest()
        while let request = next {
            let page = try await backend.list(request, .all, of: bucket)
            for listed in page.entries where !listed.isDeleteMarker {
                try await progress.step(
                    "\(versions) versions, \(bytes) bytes, \(damaged.count) damaged; at \(bucket.name)/\(listed.key)")
                do throws(Fault) { bytes += try await read(listed, in: bucket) } catch {
                    guard error.code == .bodyIsDamaged || error.code == .bodyIsGone else {
                        throw error.saying("\(bucket.name)/\(listed.key) could not be read: \(error.message)")
                    }
                    if damaged.count < ScrubWorker.damagedMax {
                        damaged.append(
                            DamagedObject(
                                bucket: bucket.name, key: listed.key, version: listed.version, fault: error.message,
                                found: objects.chance.now()))
                    }
                }
                versions += 1
            }
            next = request.following(page)
        }
    }

    /// Reads a version to its end; one that has gone meanwhile is none.
    ///
    /// - Throws: `bodyIsGone` of a version that is still there when its body is not.
    private func read(_ listed: ListedObject, in bucket: Bucket) async throws(Fault) -> Int64 {
        var misses = MissedBodies()
        while true {
            guard let version = try await backend.find(listed.key, version: listed.version, in: bucket), let body = version.body
            else { return 0 }
            do throws(Fault) { return try await read(StoredObject(bucket: bucket, version: version), body) } catch {
                guard error.code == .bodyIsGone else { throw error }
                guard try misses.add(body) else { return 0 }
            }
        }
    }

    private func read(_ found: StoredObject, _ body: BodyReference) async throws(Fault) -> Int64 {
        let length = try await objects.storedLength(of: found, body)
        guard length > 0 else { return 0 }
        let bytes = try await backend.read(body, 0..<length, in: found.bucket).makeAsyncIterator()
        var count: Int64 = 0
        while let piece = try await bytes.next() { count += Int64(piece.readableBytes) }
        return count
    }
}

/// The bodies of one version that were not there any more when they were to be read.
struct MissedBodies {
    /// A version that is replaced as often as this is left alone: what others have just written needs no scrub.
    static let countMax = 5

    private var last: BodyReference?
    private var count = 0

    /// - Returns: Whether the version is to be looked for anew: another body has taken the place of this one.
    /// - Throws: `bodyIsGone` where none has.
    mutating func add(_ body: BodyReference) throws(Fault) -> Bool {
        guard body != last else { throw Fault(.bodyIsGone, "The body is not there any more.", kind: .object) }
        last = body
        count += 1
        return count < MissedBodies.countMax
    }
}

extension Fault {
    fileprivate func saying(_ message: String) -> Fault {
        var fault = self
        fault.message = message
        return fault
    }
}
