//  Random operations on a store and on a model of S3's semantics that is a page long: every answer, every
//  listing and every read must be the same.

import Authority
import Model
import ObjectStorage
import Testing

@testable import Objects

/// What S3 says that a bucket is.
private struct Expected {
    struct Version: Equatable {
        var id: VersionID
        /// Nil of a delete marker.
        var body: [UInt8]?
        var tag: String
        var isHeld = false
        var retainedUntil: Instant?
    }

    var versioning: Versioning?
    /// The newest version of a key first.
    var keys: [String: [Version]] = [:]

    func current(_ key: String) -> Version? { keys[key]?.first.flatMap { $0.body == nil ? nil : $0 } }

    mutating func add(_ version: Version, to key: String) {
        if versioning != .enabled { keys[key]?.removeAll { $0.id == .null } }
        keys[key, default: []].insert(version, at: 0)
    }

    mutating func remove(_ id: VersionID, of key: String) {
        keys[key]?.removeAll { $0.id == id }
        if keys[key]?.isEmpty == true { keys[key] = nil }
    }

    /// Whether a version may be removed.
    func isFree(_ version: Version?, now: Instant) -> Bool {
        guard let version else { return true }
        return !version.isHeld && version.retainedUntil.map { $0 <= now } ?? true
    }

    /// Keys and what lies behind the delimiter, in order.
    func listed(prefix: String, delimiter: String) -> [String] {
        var shown: [String] = []
        for key in keys.keys.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) })
        where current(key) != nil && key.hasPrefix(prefix) {
            let rest = key.dropFirst(prefix.count)
            if !delimiter.isEmpty, let end = rest.firstIndex(of: Character(delimiter)) {
                let common = prefix + rest[...end]
                if shown.last != common { shown.append(common) }
            } else {
                shown.append(key)
            }
        }
        return shown
    }
}

@Suite struct ModelTests {
    private static let keys = ["a", "a/b", "a/c", "b", "b/x/1", "b/x/2", "ü"]

    @Test(arguments: TestedStore.Backend.allCases, [1, 2, 3, 4, 5, 6] as [UInt64])
    func behavesAsTheModel(kind: TestedStore.Backend, seed: UInt64) async throws {
        try await TestedStore.with(kind) { store in
            var new = NewBucket(name: "bucket")
            new.hasLock = seed % 2 == 0
            _ = try await store.objects.createBucket(new, by: store.caller())
            var run = ModelRun(store: store, seed: seed, hasLock: new.hasLock)
            for _ in 0..<400 { try await run.step() }
            try await run.compareAll()
        }
    }

    /// Exactly one of many writers who want to be the first is.
    @Test(arguments: TestedStore.Backend.allCases)
    func oneOfManyFirstWritersWins(kind: TestedStore.Backend) async throws {
        try await TestedStore.with(kind) { store in
            _ = try await store.objects.createBucket(NewBucket(name: "bucket"), by: store.caller())
            for round in 0..<20 {
                let winners = await withTaskGroup(of: Bool.self) { group in
                    for writer in 0..<8 {
                        group.addTask {
                            var upload = ObjectUpload(bucket: "bucket", key: ObjectKey("k\(round)"))
                            upload.conditions.noneMatch = ["*"]
                            return (try? await store.objects.put(upload, BytesBody(bytes: [UInt8(writer)]), by: store.caller()))
                                != nil
                        }
                    }
                    return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
                #expect(winners == 1)
            }
        }
    }

    /// Writers who each replace what they have read lose no increment.
    @Test(arguments: TestedStore.Backend.allCases)
    func noConditionalWriteIsLost(kind: TestedStore.Backend) async throws {
        try await TestedStore.with(kind) { store in
            _ = try await store.objects.createBucket(NewBucket(name: "bucket"), by: store.caller())
            let name = ObjectName(bucket: "bucket", key: ObjectKey("counter"))
            _ = try await store.objects.put(
                ObjectUpload(bucket: "bucket", key: name.key), BytesBody(bytes: [0]), by: store.caller())
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        var left = 10
                        while left > 0 {
                            let found = try await store.objects.object(name, by: store.caller())
                            var upload = ObjectUpload(bucket: "bucket", key: name.key)
                            upload.conditions.match = [found.version.entityTag]
                            do {
                                let bytes = try await store.read(name)
                                _ = try await store.objects.put(upload, BytesBody(bytes: [bytes[0] + 1]), by: store.caller())
                                left -= 1
                            } catch let fault as Fault where fault.code == .preconditionFailed { continue }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await store.read(name) == [40])
        }
    }
}

/// One run of random operations.
private struct ModelRun {
    let store: TestedStore
    var dice: Dice
    var expected = Expected()
    let hasLock: Bool

    init(store: TestedStore, seed: UInt64, hasLock: Bool) {
        self.store = store
        dice = Dice(seed: seed)
        self.hasLock = hasLock
        if hasLock { expected.versioning = .enabled }
    }

    private var objects: ObjectsService { store.objects }
    private mutating func pick<T>(_ all: [T]) -> T { all[Int.random(in: 0..<all.count, using: &dice)] }
    private func name(_ key: String, _ version: VersionID? = nil) -> ObjectName {
        ObjectName(bucket: "bucket", key: ObjectKey(key), version: version)
    }

    mutating func step() async throws {
        store.pass(.seconds(Int64.random(in: 0...20, using: &dice)))
        let key = pick(ModelTests.allKeys)
        switch Int.random(in: 0..<12, using: &dice) {
        case 0...3: try await put(key)
        case 4: try await delete(key)
        case 5: try await deleteVersion(key)
        case 6: try await copy(key)
        case 7: try await parts(key)
        case 8: try await lock(key)
        case 9: try await changeVersioning()
        case 10: try await list()
        default: try await get(key)
        }
    }

    // MARK: Writing

    private mutating func put(_ key: String) async throws {
        let body = bytes()
        var upload = ObjectUpload(bucket: "bucket", key: ObjectKey(key))
        let current = expected.current(key)
        var isRefused: Fault.Code?
        switch Int.random(in: 0..<6, using: &dice) {
        case 0:
            upload.conditions.noneMatch = ["*"]
            if current != nil { isRefused = .preconditionFailed }
        case 1:
            upload.conditions.match = [current?.tag ?? "none"]
            if current == nil { isRefused = .notFound }
        case 2:
            upload.conditions.match = ["other"]
            isRefused = current == nil ? .notFound : .preconditionFailed
        default: break
        }
        if dice.next() % 3 == 0 { upload.encryption = .store }
        if isRefused == nil, !isReplaceable(key) { isRefused = .protected }
        let asked = upload
        let stored = try await outcome(isRefused) { try await objects.put(asked, BytesBody(bytes: body), by: store.caller()) }
        guard let stored else { return }
        expected.add(Expected.Version(id: stored.version.id, body: body, tag: stored.version.entityTag), to: key)
        #expect((stored.version.id == .null) == (expected.versioning != .enabled))
    }

    private mutating func copy(_ key: String) async throws {
        let source = pick(ModelTests.allKeys)
        guard source != key, let from = expected.current(source) else { return }
        let refusal: Fault.Code? = isReplaceable(key) ? nil : .protected
        let done = try await outcome(refusal) {
            try await objects.copy(
                name(source), sourceConditions: ObjectConditions(), to: ObjectUpload(bucket: "bucket", key: ObjectKey(key)),
                ObjectsService.CopyDirectives(), by: store.caller())
        }
        guard let done else { return }
        expected.add(Expected.Version(id: done.copy.version.id, body: from.body, tag: done.copy.version.entityTag), to: key)
        #expect(done.copy.version.entityTag == from.tag || from.tag.contains("-"))
    }

    private mutating func parts(_ key: String) async throws {
        var upload = ObjectUpload(bucket: "bucket", key: ObjectKey(key))
        if dice.next() % 2 == 0 { upload.encryption = .store }
        let begun = try await objects.beginUpload(upload, by: store.caller())
        let body = bytes()
        let part = try await objects.putPart(
            1, of: begun.upload.id, ObjectKey(key), in: "bucket", size: nil, BytesBody(bytes: body), by: store.caller())
        if dice.next() % 4 == 0 {
            try await objects.abortUpload(begun.upload.id, of: ObjectKey(key), in: "bucket", by: store.caller())
            return
        }
        let named = [NamedPart(number: 1, entityTag: part.part.entityTag)]
        let refusal: Fault.Code? = isReplaceable(key) ? nil : .protected
        let stored = try await outcome(refusal) {
            try await objects.completeUpload(begun.upload.id, of: ObjectKey(key), in: "bucket", parts: named, by: store.caller())
        }
        guard let stored else {
            try await objects.abortUpload(begun.upload.id, of: ObjectKey(key), in: "bucket", by: store.caller())
            return
        }
        expected.add(Expected.Version(id: stored.version.id, body: body, tag: stored.version.entityTag), to: key)
    }

    private mutating func delete(_ key: String) async throws {
        let refusal: Fault.Code? = isReplaceable(key) ? nil : .protected
        let done = try await outcome(refusal) { try await objects.delete(name(key), by: store.caller()) }
        guard let done else { return }
        guard expected.versioning != nil else {
            #expect(done.version == nil && !done.isMarker)
            expected.remove(.null, of: key)
            return
        }
        #expect(done.isMarker)
        expected.add(Expected.Version(id: try #require(done.version), body: nil, tag: ""), to: key)
    }

    private mutating func deleteVersion(_ key: String) async throws {
        guard let versions = expected.keys[key] else { return }
        let version = pick(versions)
        let isFree = expected.isFree(version, now: store.time)
        let done = try await outcome(isFree ? nil : .protected) {
            try await objects.delete(name(key, version.id), by: store.caller())
        }
        guard let done else { return }
        #expect(done.isMarker == (version.body == nil))
        expected.remove(version.id, of: key)
    }

    private mutating func lock(_ key: String) async throws {
        guard hasLock, let place = expected.keys[key]?.indices.randomElement(using: &dice),
            let version = expected.keys[key]?[place],
            version.body != nil
        else { return }
        if dice.next() % 2 == 0 {
            try await objects.setHeld(!version.isHeld, of: name(key, version.id), by: store.caller())
            expected.keys[key]?[place].isHeld.toggle()
        } else {
            let until = store.time + .seconds(Int64.random(in: 1...200, using: &dice))
            let isShorter = version.retainedUntil.map { $0 > store.time && until < $0 } ?? false
            let retention = Retention(mode: .governance, until: until)
            let done: Void? = try await outcome(isShorter ? .protected : nil) {
                try await objects.setRetention(retention, of: name(key, version.id), bypassing: false, by: store.caller())
            }
            if done != nil { expected.keys[key]?[place].retainedUntil = until }
        }
    }

    private mutating func changeVersioning() async throws {
        guard dice.next() % 5 == 0 else { return }
        let wanted: Versioning = dice.next() % 2 == 0 ? .enabled : .suspended
        let done: Void? = try await outcome(hasLock && wanted == .suspended ? .wrongState : nil) {
            try await objects.setVersioning(wanted, of: "bucket", by: store.caller())
        }
        if done != nil { expected.versioning = wanted }
    }

    // MARK: Reading

    private mutating func get(_ key: String) async throws {
        let current = expected.current(key)
        let found = try await outcome(current == nil ? .notFound : nil) { try await store.read(name(key)) }
        #expect(found == current?.body)
    }

    private mutating func list() async throws {
        var request = ListingRequest<ListedObject>()
        let prefix = pick(["", "a", "a/", "b/", "none"])
        let delimiter = pick(["", "/"])
        request.prefix = Array(prefix.utf8)
        request.delimiter = Array(delimiter.utf8)
        request.limit = Int.random(in: 1...5, using: &dice)
        var shown: [String] = []
        var page: ListingPage<ListedObject>
        repeat {
            page = try await objects.list(request, in: "bucket", by: store.caller()).page
            let names = page.entries.map(\.key.bytes) + page.commonPrefixes
            #expect(names.count <= request.limit)
            shown += names.sorted { $0.lexicographicallyPrecedes($1) }.map { String(decoding: $0, as: UTF8.self) }
            request.after = page.next ?? []
        } while page.next != nil
        #expect(shown == expected.listed(prefix: prefix, delimiter: delimiter))
    }

    /// Every version of every key, and every body.
    mutating func compareAll() async throws {
        var request = ListingRequest<ListedObject>()
        request.limit = 3
        var shown: [String: [VersionID]] = [:]
        var page: ListingPage<ListedObject>
        repeat {
            page = try await objects.list(request, .all, in: "bucket", by: store.caller()).page
            for object in page.entries {
                #expect(object.isLatest == (shown[object.key.description] == nil))
                shown[object.key.description, default: []].append(object.version)
            }
            (request.after, request.afterPlace) = (page.next ?? [], page.nextPlace)
        } while page.next != nil
        #expect(shown == expected.keys.mapValues { $0.map(\.id) })
        for (key, versions) in expected.keys {
            for version in versions {
                guard let body = version.body else { continue }
                #expect(try await store.read(name(key, version.id)) == body)
            }
        }
        let usage = try await store.backend.usage(of: try #require(try await store.backend.bucket(named: "bucket")))
        let all = expected.keys.values.flatMap(\.self)
        #expect(usage == BucketUsage(versions: Int64(all.count), bytes: Int64(all.reduce(0) { $0 + ($1.body?.count ?? 0) })))
    }

    // MARK: Help

    /// Whether what a writer would replace may be: only the version without an id is ever replaced.
    private func isReplaceable(_ key: String) -> Bool {
        expected.versioning == .enabled
            || expected.isFree(expected.keys[key]?.first { $0.id == .null }, now: store.time)
    }

    private mutating func bytes() -> [UInt8] {
        let count = pick([0, 1, 100, 9000, 70_000])
        let first = UInt8(truncatingIfNeeded: dice.next())
        return (0..<count).map { first &+ UInt8(truncatingIfNeeded: $0) }
    }

    /// Runs what must end so; nil where it was refused, as it had to be.
    private func outcome<T: Sendable>(_ refusal: Fault.Code?, _ body: () async throws -> T) async throws -> T? {
        do {
            let done = try await body()
            #expect(refusal == nil, "was not refused")
            return done
        } catch let fault as Fault {
            #expect(fault.code == refusal, "\(fault)")
            return nil
        }
    }
}

extension ModelTests {
    fileprivate static var allKeys: [String] { keys }
}
