//  Objects removed: for good, or hidden behind a delete marker where versions are kept.

import Authority
import Model
import ObjectStorage

/// What a removal did.
public struct Deletion: Sendable {
    public let bucket: Bucket
    /// The version that was removed, or the delete marker that was put.
    public var version: VersionID?
    public var isMarker: Bool
}

extension ObjectsService {
    /// Removes a version, or hides an object behind a delete marker where versions are kept; what is not
    /// there is no fault.
    ///
    /// - Parameter bypassing: Whether the caller wants to remove what is retained in governance mode.
    /// - Throws: `protected` where a lock keeps it; what `authorize` throws.
    public func delete(
        _ name: ObjectName, conditions: ObjectConditions = ObjectConditions(), bypassing: Bool = false, by caller: Caller
    ) async throws(Fault) -> Deletion {
        let action: ObjectAction = name.version == nil ? .deleteObject : .deleteVersion
        let bucket = try await bucket(name.bucket, key: name.key, for: action, by: caller)
        if bypassing { try authorize(.bypassGovernance, on: bucket, key: name.key, by: caller) }
        let now = chance.now()
        let deletion = try await backend.change(name.key, in: bucket) { change throws(Fault) in
            try conditions.check(change)
            if let version = name.version {
                let found = try change.version(version)
                try found?.checkRemovable(now: now, bypassing: bypassing)
                try change.remove(version)
                return Deletion(bucket: bucket, version: version, isMarker: found.map { $0.body == nil } ?? false)
            }
            guard bucket.settings.versioning != nil else {
                try change.remove(.null)
                return Deletion(bucket: bucket, version: nil, isMarker: false)
            }
            let marker = ObjectVersion(
                id: .null, size: 0, entityTag: "", modified: now, detail: ObjectDetail(owner: caller.account, in: bucket), body: nil
            )
            let put = try change.add(marker, in: bucket)
            return Deletion(bucket: bucket, version: put.id, isMarker: true)
        }
        let hides = name.version == nil && deletion.isMarker
        await announce(
            hides ? .putMarker : .delete, EventSubject(key: name.key, version: deletion.version), in: bucket, by: caller)
        return deletion
    }

    /// How many removals of one call run at once.
    private static let deletionsAtOnce = 64

    /// Removes several, as if each were removed by itself; those of one key one after the other.
    ///
    /// - Returns: What came of each, in the order of `deletions`.
    public func delete(
        _ deletions: [(name: ObjectName, conditions: ObjectConditions)], bypassing: Bool, by caller: Caller
    ) async -> [Result<Deletion, Fault>] {
        // Side by side, so that they share the syncs that make them durable.
        let places = Dictionary(grouping: deletions.indices) { deletions[$0].name.key }
        return await withTaskGroup(of: [(Int, Result<Deletion, Fault>)].self) { group in
            var left = places.values.makeIterator()
            func begin() {
                guard let places = left.next() else { return }
                group.addTask {
                    var outcomes: [(Int, Result<Deletion, Fault>)] = []
                    for place in places {
                        let (name, conditions) = deletions[place]
                        outcomes.append((place, await self.outcome(of: name, conditions, bypassing, caller)))
                    }
                    return outcomes
                }
            }
            for _ in 0..<ObjectsService.deletionsAtOnce { begin() }
            var outcomes: [Int: Result<Deletion, Fault>] = [:]
            for await done in group {
                for (place, outcome) in done { outcomes[place] = outcome }
                begin()
            }
            return deletions.indices.compactMap { outcomes[$0] }
        }
    }

    private func outcome(
        of name: ObjectName, _ conditions: ObjectConditions, _ bypassing: Bool, _ caller: Caller
    ) async -> Result<Deletion, Fault> {
        do throws(Fault) { return .success(try await delete(name, conditions: conditions, bypassing: bypassing, by: caller)) } catch
        {
            return .failure(error)
        }
    }
}

extension ObjectDetail {
    /// Of what is put into a bucket by an account.
    fileprivate init(owner: ID<Account>?, in bucket: Bucket) {
        self.init()
        self.owner = owner == bucket.account || bucket.settings.ownership == .bucketOwnerEnforced ? nil : owner
    }
}
