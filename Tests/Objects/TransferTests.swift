//  What an export writes down and an import reads back: names of files that say any key, and lines of the index.

import Foundation
import Model
import NIOCore
import ObjectStorage
import Testing

@testable import Objects

@Suite struct BodyPathTests {
    /// Keys, and where their current versions lie; nil: a path cannot say them.
    private static let plain: [(key: String, path: String?)] = [
        ("a", "objects/a"), ("a/b.txt", "objects/a/b.txt"), ("ä/ö ü", "objects/ä/ö ü"), ("%2F+@", "objects/%2F+@"),
        (".hidden/...", "objects/.hidden/..."),
        (String(repeating: "n", count: 255), "objects/" + String(repeating: "n", count: 255)),
        (String(repeating: "n", count: 256), nil), ("/a", nil), ("a/", nil), ("/", nil), ("a//b", nil), (".", nil), ("..", nil),
        ("a/../b", nil), ("a/./b", nil), ("../../etc/passwd", nil), ("a\u{0}b", nil), ("a\nb", nil), ("\u{7f}", nil),
    ]

    @Test(arguments: plain) func plainPaths(key: String, path: String?) {
        #expect(BodyPath.plain(ObjectKey(key)) == path)
        if let path { #expect(BodyPath.key(of: path) == ObjectKey(key) && BodyPath.isInside(path)) }
    }

    private static let escaped: [(key: [UInt8], path: String)] = [
        (Array("a".utf8), "escaped/a@null"), (Array("a/".utf8), "escaped/a%2f@null"), (Array("..".utf8), "escaped/..@null"),
        (Array("a%+@b".utf8), "escaped/a%25%2b%40b@null"), ([0], "escaped/%00@null"), (Array("ä".utf8), "escaped/ä@null"),
        // What is no UTF-8 is digits throughout.
        ([0x61, 0xff, 0xc3], "escaped/a%ff%c3@null"),
        (
            Array(repeating: 0x61, count: 401),
            "escaped/\(String(repeating: "a", count: 200))+/\(String(repeating: "a", count: 200))+/a@null"
        ),
    ]

    @Test(arguments: escaped) func escapedPaths(key: [UInt8], path: String) {
        #expect(BodyPath.escaped(ObjectKey(bytes: key), version: "null") == path)
        #expect(BodyPath.key(of: path) == ObjectKey(bytes: key))
    }

    @Test(arguments: [
        "", "a", "objects/", "objects/a/", "objects/../a", "escaped/a", "escaped/%@null", "escaped/%2@null", "escaped/%2F@null",
        "escaped/a+b@null", "escaped/a/b@null", "escaped/%61@null", "other/a",
    ])
    func whatNoneMakesIsNone(path: String) { #expect(BodyPath.key(of: path) == nil) }

    /// Any key comes back, its names are names of files, and no path is another's or another's folder.
    @Test func anyKeyComesBack() {
        let seed = Chance.system.bits()
        print("seed", seed)
        var dice = Dice(seed: seed)
        var paths: [String: ObjectKey] = [:]
        var folders: Set<String> = []
        for _ in 0..<3000 {
            let key = Self.key(&dice)
            let path = BodyPath.escaped(key, version: "0123456789abcdef")
            #expect(BodyPath.key(of: path) == key, "\(key.bytes)")
            #expect(BodyPath.isInside(path))
            #expect(paths.updateValue(key, forKey: path).map { $0 == key } ?? true)
            let names = path.split(separator: "/", omittingEmptySubsequences: false)
            #expect(names.allSatisfy { !$0.isEmpty && $0.utf8.count <= 255 && $0 != "." && $0 != ".." } && path.utf8.count < 3500)
            for count in 1..<names.count { folders.insert(names.prefix(count).joined(separator: "/")) }
            if let plain = BodyPath.plain(key) { #expect(BodyPath.key(of: plain) == key && BodyPath.isInside(plain)) }
        }
        #expect(folders.isDisjoint(with: paths.keys))
    }

    private static func key(_ dice: inout Dice) -> ObjectKey {
        let pieces: [[UInt8]] = [
            [0x2f], [0x2e], Array("..".utf8), [0x25], [0x2b], [0x40], [0], [0x0a], [0xff], [0xc3], Array("ä".utf8), Array("😀".utf8),
            Array("abc".utf8), Array(repeating: 0x78, count: 199),
        ]
        var bytes: [UInt8] = []
        for _ in 0..<Int.random(in: 1...40, using: &dice) { bytes += pieces.randomElement(using: &dice) ?? [] }
        return ObjectKey(bytes: Array(bytes.prefix(ObjectKey.bytesMax)))
    }
}

@Suite struct VersionRecordTests {
    @Test func aLineComesBack() throws {
        var record = VersionRecord(key: ObjectKey("a\u{0}/\"ä\n"), size: 7)
        (record.version, record.sequence, record.etag) = ("null", "00000000000000ff", "e")
        record.modified = Instant(microseconds: 1_700_000_000_000_001).iso8601Precise
        record.parts = [VersionRecord.Part(size: 3, checksums: ["x-amz-checksum-crc32": "AAAA"]), VersionRecord.Part(size: 4)]
        (record.tags, record.metadata, record.isHeld, record.file) = (["t": "1"], ["m": "2"], true, "objects/a")
        let line = try record.json
        #expect(!line.contains(0x0a))
        #expect(try VersionRecord(json: line) == record)
        #expect(record.modifiedAt == Instant(microseconds: 1_700_000_000_000_001))
        let raw = VersionRecord(key: ObjectKey(bytes: [0xff, 0x61]), size: 0)
        #expect(raw.key == nil)
        #expect(try VersionRecord(json: raw.json).objectKey == ObjectKey(bytes: [0xff, 0x61]))
    }

    @Test(arguments: [
        "", "{", "[]", "null", "{}", #"{"key":"a"}"#, #"{"size":1}"#, #"{"key":"","size":1}"#, #"{"key":"a","size":-1}"#,
        #"{"key":"a","size":1.5}"#, #"{"key":"a","size":99999999999999999999}"#, #"{"key":"a","size":9223372036854775807}"#,
        #"{"key":1,"size":1}"#, #"{"keyBase64":"?","size":1}"#, #"{"key":"a","size":1,"version":"x"}"#,
        #"{"key":"a","size":1,"version":"0000000000000000"}"#, #"{"key":"a","size":1,"version":"null","sequence":"x"}"#,
        #"{"key":"a","size":1,"modified":"yesterday"}"#, #"{"key":"a","size":1,"modified":"1900-01-01T00:00:00Z"}"#,
        #"{"key":"a","size":3,"parts":[{"size":1},{"size":1}]}"#, #"{"key":"a","size":0,"parts":[{"size":-1},{"size":1}]}"#,
        #"{"key":"a","size":0,"parts":[]}"#, #"{"key":"a","size":1,"parts":[{"size":0},{"size":1}]}"#,
        #"{"key":"a","size":0,"parts":[{"size":9223372036854775807},{"size":9223372036854775807}]}"#,
    ])
    func damagedLinesAreRefused(line: String) {
        let fault = #expect(throws: Fault.self) { try VersionRecord(json: Array(line.utf8)) }
        #expect(fault?.code == .malformedRequest)
    }

    /// Lines with bytes turned over are read or refused, and bring nothing down.
    @Test func anyBytesAreReadOrRefused() throws {
        let seed = Chance.system.bits()
        print("seed", seed)
        var dice = Dice(seed: seed)
        var record = VersionRecord(key: ObjectKey("a"), size: 7)
        (record.version, record.modified) = ("00000000000000ff", "2026-01-01T00:00:00.000001Z")
        record.parts = [VersionRecord.Part(size: 7)]
        let line = try record.json
        for _ in 0..<5000 {
            var bytes = line
            for _ in 0..<Int.random(in: 1...4, using: &dice) {
                bytes[Int.random(in: 0..<bytes.count, using: &dice)] = UInt8.random(in: 0...255, using: &dice)
            }
            guard let read = try? VersionRecord(json: bytes) else { continue }
            #expect((try? read.objectKey) != nil)
        }
    }
}

/// What the service does with what comes in, over either backend.
@Suite struct ImportTests {
    private static func bytes(_ text: String) -> BodySource { BodySource(Array(text.utf8)[...]) }

    private func record(_ key: String, _ body: String, version: String, at sequence: UInt64? = nil) -> VersionRecord {
        var record = VersionRecord(key: ObjectKey(key), size: Int64(body.utf8.count))
        record.version = version
        record.sequence = sequence.map { hexDigits($0) }
        record.modified = "2020-02-03T04:05:06.789012Z"
        record.etag = "tag-of-\(body)"
        return record
    }

    @Test(arguments: TestedStore.Backend.allCases) func versionsKeepTheirIdsAndOrder(kind: TestedStore.Backend) async throws {
        try await TestedStore.with(kind) { store in
            let caller = store.caller()
            _ = try await store.objects.createBucket(NewBucket(name: "first"), by: caller)
            try await store.objects.update("first", for: .putBucketVersioning, by: caller) { settings throws(Fault) in
                settings.versioning = .enabled
            }
            // Long before any version that a backend makes now.
            let now: UInt64 = 1_700_000_000_000_000
            let ids = [now - 3000, now - 2000, now - 1000]
            // The one without an id lies between two that have one.
            let history = [
                record("k", "one", version: hexDigits(ids[0])), record("k", "two", version: "null", at: ids[1]),
                record("k", "three", version: hexDigits(ids[2])),
            ]
            for (record, body) in zip(history, ["one", "two", "three"]) {
                #expect(try await store.objects.standing(of: record, in: "first") != .there)
                #expect(try await store.objects.importVersion(record, into: "first", bytes: Self.bytes(body)) == [])
                #expect(try await store.objects.standing(of: record, in: "first") == .there)
            }
            var records = try await store.objects.records(of: "first", all: true)
            var shown: [VersionRecord] = []
            while let next = try await records.next() { shown.append(next) }
            #expect(shown.map(\.version) == [hexDigits(ids[2]), "null", hexDigits(ids[0])])
            #expect(shown.map(\.etag) == ["tag-of-three", "tag-of-two", "tag-of-one"])
            #expect(Set(shown.map(\.modified)) == ["2020-02-03T04:05:06.789012Z"] && shown.first?.isLatest == true)
            #expect(try await store.read(ObjectName(bucket: "first", key: ObjectKey("k"), version: .null)) == Array("two".utf8))
            // A newer version than any clock has said, and one that comes too late for its place.
            store.pass(.seconds(1))
            for (late, body) in [
                (record("k", "late", version: hexDigits(now - 1500)), "late"),
                (record("k", "far", version: hexDigits(UInt64.max >> 1)), "far"),
            ] {
                if body == "late" {
                    _ = try await store.objects.put(
                        ObjectUpload(bucket: "first", key: ObjectKey("k")), BytesBody(bytes: []), by: caller)
                }
                #expect(try await store.objects.importVersion(late, into: "first", bytes: Self.bytes(body)).count == 1)
                #expect(try await store.read(ObjectName(bucket: "first", key: ObjectKey("k"))) == Array(body.utf8))
            }
            _ = try await store.objects.put(ObjectUpload(bucket: "first", key: ObjectKey("k")), BytesBody(bytes: [1]), by: caller)
            #expect(try await store.read(ObjectName(bucket: "first", key: ObjectKey("k"))) == [1])
        }
    }

    @Test(arguments: TestedStore.Backend.allCases) func whatDoesNotFitIsNotKept(kind: TestedStore.Backend) async throws {
        try await TestedStore.with(kind) { store in
            _ = try await store.objects.createBucket(NewBucket(name: "first"), by: store.caller())
            var parts = record("parts", "abcdef", version: "null")
            parts.parts = [VersionRecord.Part(size: 4), VersionRecord.Part(size: 2)]
            for body in ["abcde", "abcdefg", ""] {
                for wanted in [record("whole", "abcdef", version: "null"), parts] {
                    await #expect(throws: Fault.self) {
                        try await store.objects.importVersion(wanted, into: "first", bytes: Self.bytes(body))
                    }
                }
            }
            let bucket = try #require(try await store.backend.bucket(named: "first"))
            #expect(try await store.backend.list(ListingRequest(), .all, of: bucket) == ListingPage())
            #expect(try await store.backend.unfinished(in: bucket) == UnfinishedUploads())
            #expect(try await store.backend.usage(of: bucket) == BucketUsage())
            #expect(try await store.objects.importVersion(parts, into: "first", bytes: Self.bytes("abcdef")) == [])
            #expect(try await store.read(ObjectName(bucket: "first", key: ObjectKey("parts"))) == Array("abcdef".utf8))
            let found = try #require(try await store.backend.find(ObjectKey("parts"), version: nil, in: bucket))
            #expect(found.detail.parts == 2 && found.entityTag == "tag-of-abcdef")
        }
    }

    /// Between two pages the newest version of the first one's last key goes: the key is told once as current.
    @Test(arguments: TestedStore.Backend.allCases) func aKeyIsCurrentOnce(kind: TestedStore.Backend) async throws {
        try await TestedStore.with(kind) { store in
            let caller = store.caller()
            _ = try await store.objects.createBucket(NewBucket(name: "first"), by: caller)
            try await store.objects.update("first", for: .putBucketVersioning, by: caller) { settings throws(Fault) in
                settings.versioning = .enabled
            }
            let page = ListingRequest<ListedObject>().limit
            for number in 1..<page {
                _ = try await store.objects.put(
                    ObjectUpload(bucket: "first", key: ObjectKey("a\(number)")), BytesBody(bytes: []), by: caller)
            }
            let key = ObjectKey("k")
            for byte in UInt8(0)..<3 {
                _ = try await store.objects.put(ObjectUpload(bucket: "first", key: key), BytesBody(bytes: [byte]), by: caller)
            }
            let bucket = try #require(try await store.backend.bucket(named: "first"))
            for all in [true, false] {
                var records = try await store.objects.records(of: "first", all: all)
                for _ in 1..<page { _ = try await records.next() }
                let newest = try #require(try await records.next())
                #expect(newest.key == "k" && newest.isLatest == true)
                let id = try #require(try newest.versionID)
                try await store.backend.change(key, in: bucket) { change throws(Fault) in try change.remove(id) }
                var rest: [VersionRecord] = []
                while let next = try await records.next() { rest.append(next) }
                #expect(rest.map(\.isLatest) == (all ? [false, false] : []))
            }
        }
    }

    /// What an import in parts leaves: nothing where it fails or is cancelled, and what a crash left is taken away.
    @Test(arguments: TestedStore.Backend.allCases) func noUploadIsLeft(kind: TestedStore.Backend) async throws {
        try await TestedStore.with(kind) { store in
            _ = try await store.objects.createBucket(NewBucket(name: "first"), by: store.caller())
            let bucket = try #require(try await store.backend.bucket(named: "first"))
            var parts = record("parts", "abcdef", version: "null")
            parts.parts = [VersionRecord.Part(size: 4), VersionRecord.Part(size: 2)]
            let wanted = parts
            let objects = store.objects
            let cancelled = Task {
                try await objects.importVersion(
                    wanted, into: "first",
                    bytes: BodySource { () throws(Fault) in
                        withUnsafeCurrentTask { $0?.cancel() }
                        throw Fault(.cancelled, "broken off")
                    })
            }
            await #expect(throws: Fault.self) { try await cancelled.value }
            #expect(try await store.backend.unfinished(in: bucket) == UnfinishedUploads())
            let key = try wanted.objectKey
            let left = PartedUpload(
                id: UploadID(bringingIn: key, version: "null", into: bucket), key: key, begun: Instant(microseconds: 0),
                detail: ObjectDetail())
            try await store.backend.change(key, in: bucket) { change throws(Fault) in try change.begin(left) }
            #expect(try await store.backend.unfinished(in: bucket).count == 1)
            #expect(try await objects.importVersion(wanted, into: "first", bytes: Self.bytes("abcdef")) == [])
            #expect(try await store.backend.unfinished(in: bucket) == UnfinishedUploads())
            #expect(try await store.read(ObjectName(bucket: "first", key: key)) == Array("abcdef".utf8))
        }
    }

    /// A version with another's time, size and tag is there only under an id that newer versions explain.
    @Test(arguments: TestedStore.Backend.allCases) func versionsAreKnownByTheirIds(kind: TestedStore.Backend) async throws {
        try await TestedStore.with(kind) { store async throws in
            let caller = store.caller()
            var new = NewBucket(name: "first")
            new.versioning = .enabled
            #expect(try await store.objects.createBucket(new, by: caller).bucket.settings.versioning == .enabled)
            let now: UInt64 = 1_700_000_000_000_000
            let older = record("k", "same", version: hexDigits(now))
            let newer = record("k", "same", version: hexDigits(now + 1))
            #expect(try await store.objects.importVersion(older, into: "first", bytes: Self.bytes("same")) == [])
            #expect(try await store.objects.standing(of: older, in: "first") == .there)
            #expect(try await store.objects.standing(of: newer, in: "first") != .there)
            #expect(try await store.objects.importVersion(newer, into: "first", bytes: Self.bytes("same")) == [])
            // One that comes too late is known by what it is.
            var late = record("k", "late", version: hexDigits(now - 1))
            #expect(try await store.objects.importVersion(late, into: "first", bytes: Self.bytes("late")).count == 1)
            #expect(try await store.objects.standing(of: late, in: "first") == .there)
            late.etag = "other"
            #expect(try await store.objects.standing(of: late, in: "first") != .there)
        }
    }

    @Test(arguments: TestedStore.Backend.allCases) func foreignSettingsAreLookedAt(kind: TestedStore.Backend) async throws {
        try await TestedStore.with(kind) { store async throws in
            _ = try await store.objects.createBucket(NewBucket(name: "first"), by: store.caller())
            var like = try await store.objects.description(ofBucket: "first")
            (like.settings.lock, like.settings.versioning) = (ObjectLock(), .suspended)
            (like.settings.notifications, like.settings.bytesMax, like.settings.requesterPays) = ([], 7, true)
            #expect(try await store.objects.finishImport(into: "first", like: like).count == 3)
            let settings = try #require(try await store.backend.bucket(named: "first")).settings
            #expect(settings.lock == nil && settings.versioning == .suspended && settings.requesterPays == true)
            #expect(settings.notifications == nil && settings.bytesMax == nil)
        }
    }
}
