//  A store as a power cut or a kill leaves it: its files are copied while machines are launched,
//  stopped and removed, each copy is opened as after a restart, and the cloud goes on from there.

import CloudTesting
import Compute
import Database
import DatabaseTesting
import FoundationEssentials
import Model
import Operations
import Store
import Testing

@Suite struct PowerCutTests {
    /// Copies what was written so far, in the order that keeps the copy possible: a log that is
    /// newer than its database is one that was not yet carried over.
    private static func copy(_ path: String, to folder: String) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for suffix in ["", "-wal"] where FileManager.default.fileExists(atPath: path + suffix) {
            try FileManager.default.copyItem(atPath: path + suffix, toPath: folder + "/store.sqlite" + suffix)
        }
    }

    @Test func copiesOfARunningStore() async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        let store = try TestStore(.sqlite)
        let copies = store.location + "-copies"
        defer {
            store.remove()
            try? FileManager.default.removeItem(atPath: copies)
        }
        let engine = try await store.open()
        try await engine.migrate(Migration.all)
        var plan = TestCloud.Plan()
        plan.seed = seed
        let cloud = try await TestCloud(engine, plan)
        var acknowledged: [(copy: Int, kept: [ID<Instance>])] = []
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await cloud.worker().run() }
            group.addTask { try await cloud.owner.run(pause: .milliseconds(1)) }
            defer { group.cancelAll() }
            var kept: [ID<Instance>] = []
            for number in 0..<24 {
                let made = try await cloud.compute.launch(cloud.request(2), by: cloud.call(cloud.first)).map(\.instance.id)
                kept.append(made[0])
                _ = try await cloud.compute.terminate([made[1]], by: cloud.call(cloud.first))
                try await Task.sleep(for: .milliseconds(Int(cloud.chance.bits() % 20)))
                guard number.isMultiple(of: 3) else { continue }
                // What was acknowledged before the cut is in the copy.
                acknowledged.append((number, kept))
                try await PowerCutTests.cut(engine, store.location, "\(copies)/\(number)")
            }
        }
        await engine.close()
        for (number, kept) in acknowledged {
            try await PowerCutTests.goOn(
                from: "\(copies)/\(number)/store.sqlite", cloud, kept, note: "seed \(seed), copy \(number)")
        }
    }

    /// Copies the files at some instant, with commits going on beside it. A checkpoint in between
    /// would write into the database while it is copied, so such a copy is made again.
    private static func cut(_ engine: any Engine, _ path: String, _ folder: String) async throws {
        for _ in 0..<50 {
            let before = try modified(path)
            try copy(path, to: folder)
            if try modified(path) == before { return }
            try FileManager.default.removeItem(atPath: folder)
        }
        throw Fault(.timedOut, "The store was checkpointed all the time.")
    }

    private static func modified(_ path: String) throws -> Date? {
        try FileManager.default.attributesOfItem(atPath: path)[.modificationDate] as? Date
    }

    private static func goOn(from path: String, _ cloud: TestCloud, _ kept: [ID<Instance>], note: String) async throws {
        let engine = try SQLiteEngine(path: path)
        do {
            try await engine.migrate(Migration.all)
            let again = TestCloud(after: cloud, on: engine)
            #expect(try await again.complaints() == [], "\(note), as found")
            #expect(try await again.settle() == [], "\(note)")
            #expect(try await again.complaints() == [], "\(note), settled")
            for id in kept { #expect(try await again.instance(id)?.phase == .running, "\(note)") }
        } catch {
            Issue.record(error, "\(note)")
        }
        await engine.close()
    }
}
