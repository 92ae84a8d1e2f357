//  The scrub: what is not as it was written is listed, and what could not be read at all is no finding.

import Foundation
import Model
import ObjectStorage
import Synchronization
import Testing

@testable import Objects

struct ScrubTests {
    private static let size = 3_000_000
    private static let key = ObjectKey("large")

    /// A store with one large object, the scrub, and the object's file.
    private static func with(
        _ body: (TestedStore, ScrubWorker, _ round: () async throws(Fault) -> [String], _ file: String) async throws -> Void
    ) async throws {
        try await TestedStore.with(.local) { store in
            _ = try await store.objects.createBucket(NewBucket(name: "first"), by: store.caller())
            let bytes = [UInt8](repeating: 7, count: size)
            _ = try await store.objects.put(ObjectUpload(bucket: "first", key: key), BytesBody(bytes: bytes), by: store.caller())
            let files = FileManager.default.enumerator(atPath: store.folder + "/objects")?.compactMap { $0 as? String } ?? []
            let bodies = files.map { store.folder + "/objects/" + $0 }.filter { path in
                let facts = try? FileManager.default.attributesOfItem(atPath: path)
                return facts?[.type] as? FileAttributeType == .typeRegular && path.contains("/bodies/")
            }
            let file = try #require(bodies.first)
            let scrub = ScrubWorker(store.objects)
            try await body(
                store, scrub,
                { () async throws(Fault) in
                    _ = try await scrub.round(WorkerProgress(wishes: { (false, 100) }))
                    return scrub.found.damaged.map { "\($0.bucket)/\($0.key): \($0.fault)" }
                }, file)
        }
    }

    @Test func aByteThatHasGoneBadIsDamage() async throws {
        try await ScrubTests.with { _, scrub, round, file in
            #expect(try await round().isEmpty)
            let handle = try #require(FileHandle(forUpdatingAtPath: file))
            try handle.seek(toOffset: 1_500_000)
            try handle.write(contentsOf: [8])
            try handle.close()
            #expect(try await round() == ["first/large: \(ObjectFaults.bodyIsDamaged.message)"])
            #expect(scrub.found.versions == 1)
        }
    }

    @Test func aBodyThatIsLostIsDamageUntilItsVersionGoes() async throws {
        try await ScrubTests.with { store, _, round, file in
            try FileManager.default.removeItem(atPath: file)
            #expect(try await round() == ["first/large: The body is not there any more."])
            _ = try await store.objects.delete(ObjectName(bucket: "first", key: ScrubTests.key), by: store.caller())
            #expect(try await round().isEmpty)
        }
    }

    /// Of one that others go on replacing there is always another body, and the scrub goes on to the next.
    @Test func aVersionThatIsReplacedAgainAndAgainIsLeftAlone() throws {
        var misses = MissedBodies()
        let goesOn = try (1...MissedBodies.countMax).map { try misses.add(.file(id: UInt64($0), checksums: [])) }
        #expect(goesOn == [true, true, true, true, false])
        misses = MissedBodies()
        #expect(try misses.add(.file(id: 1, checksums: [])))
        let fault = #expect(throws: Fault.self) { _ = try misses.add(.file(id: 1, checksums: [])) }
        #expect(fault?.code == .bodyIsGone)
    }

    /// Opening it fails, as it does when the process has too many files open.
    @Test func aFileThatCannotBeOpenedIsNoDamage() async throws {
        try await ScrubTests.with { _, scrub, round, file in
            #expect(try await round().isEmpty)
            try FileManager.default.moveItem(atPath: file, toPath: file + ".aside")
            try FileManager.default.createSymbolicLink(atPath: file, withDestinationPath: file)
            let fault = await #expect(throws: Fault.self) { _ = try await round() }
            #expect(fault?.code == .storage && fault?.message.hasPrefix("first/large could not be read: ") == true)
            // What the last whole round found stands.
            #expect(scrub.found.damaged.isEmpty && scrub.found.versions == 1)
            try FileManager.default.removeItem(atPath: file)
            try FileManager.default.moveItem(atPath: file + ".aside", toPath: file)
            #expect(try await round().isEmpty)
        }
    }

    /// Who waits for a round sees that it failed: it counts as one that has ended.
    @Test func aRoundThatFailsCountsAndSaysWhy() async throws {
        struct Failing: ObjectWorker {
            let name = "failing"
            let interval = Duration.seconds(3600)
            func round(_ progress: WorkerProgress) async throws(Fault) -> String { throw Fault(.storage, "no") }
        }
        let folder = NSTemporaryDirectory() + "karri-workers-\(Chance.system.bits())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let told = Mutex<[String]>([])
        let workers = try ObjectWorkers([Failing()], path: folder + "/workers.json", chance: .system) { name, fault in
            told.withLock { $0.append("\(name): \(fault.message)") }
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await workers.run() }
            while told.withLock(\.isEmpty) { try? await Task.sleep(for: .milliseconds(5)) }
            group.cancelAll()
        }
        let status = try #require(workers.statuses.first)
        #expect(status.rounds == 1 && status.failure == "no" && status.last.isEmpty)
        #expect(told.withLock(\.self) == ["failing: no"])
    }
}
