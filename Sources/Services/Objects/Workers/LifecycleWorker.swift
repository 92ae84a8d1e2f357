//  Does what lifecycle rules say: objects expire, old versions and abandoned uploads go.

import Model
import ObjectStorage

/// Walks all buckets that have rules.
public struct LifecycleWorker: ObjectWorker {
    public let name = "lifecycle"
    public let interval: Duration
    private let objects: ObjectsService
    private var backend: any ObjectBackend { objects.backend }

    public init(_ objects: ObjectsService) {
        self.objects = objects
        interval = min(.seconds(3600), objects.clock.day / 8)
    }

    public func round(_ progress: WorkerProgress) async throws(Fault) -> String {
        var (expired, removed, uploads, buckets) = (0, 0, 0, 0)
        var after = ""
        while true {
            let page = try await backend.buckets(after: after, limit: 100)
            guard let last = page.last else { break }
            after = last.name
            for bucket in page {
                guard let rules = bucket.settings.lifecycle else { continue }
                let done = try await walk(bucket, rules, progress)
                expired += done.expired
                removed += done.removed
                uploads += try await abort(bucket, rules, progress)
                buckets += 1
            }
        }
        return "\(buckets) buckets with rules: \(expired) objects expired, \(removed) versions removed, \(uploads) uploads aborted"
    }

    private func walk(
        _ bucket: Bucket, _ rules: [LifecycleRule], _ progress: WorkerProgress
    ) async throws(Fault) -> (expired: Int, removed: Int) {
        var done = (expired: 0, removed: 0)
        var walk = LifecycleWalk(rules, clock: objects.clock, now: objects.chance.now())
        var next: ListingRequest<ListedObject>? = ListingRequest()
        while let request = next {
            try await progress.step("\(bucket.name) at \(String(decoding: request.after, as: UTF8.self))")
            let page = try await backend.list(request, .all, of: bucket)
            for version in page.entries {
                var tags: [String: String]?
                if walk.needsTags { tags = try await backend.find(version.key, version: version.version, in: bucket)?.detail.tags }
                for (key, action) in walk.take(version, tags: tags) { try await perform(action, key, in: bucket, &done) }
            }
            next = request.following(page)
        }
        for (key, action) in walk.finish() { try await perform(action, key, in: bucket, &done) }
        return done
    }

    private func perform(
        _ action: LifecycleAction, _ key: ObjectKey, in bucket: Bucket, _ done: inout (expired: Int, removed: Int)
    ) async throws(Fault) {
        switch action {
        case .expire(let version):
            guard try await objects.expire(key, version, in: bucket) else { return }
            done.expired += 1
            let isHidden = bucket.settings.versioning != nil
            await objects.announce(isHidden ? .expireBehindMarker : .expire, EventSubject(key: key), in: bucket, by: nil)
        case .remove(let version):
            guard try await objects.removeNoncurrent(key, version, in: bucket) else { return }
            done.removed += 1
            await objects.announce(.expire, EventSubject(key: key, version: version), in: bucket, by: nil)
        }
    }

    private func abort(_ bucket: Bucket, _ rules: [LifecycleRule], _ progress: WorkerProgress) async throws(Fault) -> Int {
        let ending = rules.filter { $0.isEnabled && $0.abandonedUploadDays != nil }
        guard !ending.isEmpty else { return 0 }
        let now = objects.chance.now()
        var aborted = 0
        var next: ListingRequest<PartedUpload>? = ListingRequest()
        while let request = next {
            try await progress.step("\(bucket.name), uploads")
            let page = try await backend.uploads(request, of: bucket)
            for upload in page.entries {
                let isOver = ending.contains { rule in
                    rule.filter.covers(upload.key, size: .max - 1)
                        && rule.abandonedUploadDays.map { objects.clock.due(upload.begun, days: $0) <= now } ?? false
                }
                guard isOver else { continue }
                let id = upload.id
                let hasEnded = try await backend.change(upload.key, in: bucket) { change throws(Fault) in
                    guard try change.upload(id) != nil else { return false }
                    _ = try change.end(id, keeping: [])
                    return true
                }
                if hasEnded { aborted += 1 }
            }
            next = request.following(page)
        }
        return aborted
    }
}

extension ObjectsService {
    /// Ends the time of what is still the current version: it goes, or is hidden where versions are kept.
    ///
    /// - Returns: Whether anything was done.
    func expire(_ key: ObjectKey, _ version: VersionID, in bucket: Bucket) async throws(Fault) -> Bool {
        let now = chance.now()
        return try await backend.change(key, in: bucket) { change throws(Fault) in
            guard let current = try change.current(), current.id == version, current.body != nil else { return false }
            guard bucket.settings.versioning != nil else {
                try change.remove(version)
                return true
            }
            let marker = ObjectVersion(id: .null, size: 0, entityTag: "", modified: now, detail: ObjectDetail(), body: nil)
            do throws(Fault) { _ = try change.add(marker, in: bucket) } catch {
                guard error.code == .protected else { throw error }
                return false
            }
            return true
        }
    }

    /// Removes a version that is not the current one, or a delete marker that is the only one; what is
    /// locked stays.
    ///
    /// - Returns: Whether anything was done.
    func removeNoncurrent(_ key: ObjectKey, _ version: VersionID, in bucket: Bucket) async throws(Fault) -> Bool {
        let now = chance.now()
        return try await backend.change(key, in: bucket) { change throws(Fault) in
            guard let found = try change.version(version) else { return false }
            if found.body != nil, try change.current()?.id == version { return false }
            do throws(Fault) { try found.checkRemovable(now: now, bypassing: false) } catch { return false }
            try change.remove(version)
            return true
        }
    }
}
