//  What was acknowledged is kept, whatever is killed.

import Database
import DatabaseTesting
import Dispatch
import Model
import Synchronization
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// The ids whose writes were answered.
private final class Acknowledged: Sendable {
    private let state = Mutex(Set<Int64>())
    var ids: Set<Int64> { state.withLock { $0 } }
    func insert(_ id: Int64) { state.withLock { _ = $0.insert(id) } }
}

@Suite struct DurabilityTests {
    /// A child process writes on many tasks and notes each acknowledged id; it kills itself amid that.
    @Test(arguments: EngineName.allCases, [40, 90, 160])
    func aKilledProcessLosesNothingAcknowledged(_ name: EngineName, _ milliseconds: Int) async throws {
        let store = try TestStore(name)
        defer { store.remove() }
        let notes = "/tmp/karri-notes-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        defer { unlink(notes) }
        let migrating = try await store.open()
        try await migrating.migrate(Fixtures.migrations)
        await migrating.close()
        let word = name.rawValue
        let location = store.location
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [word = word as String, location = location as String, notes = notes as String, milliseconds = milliseconds as Int] in
            let engine: any Engine =
                word == "sqlite" ? try SQLiteEngine(path: location) : try await PostgreSQLEngine.open(location)
            let file = open(notes, O_WRONLY | O_CREAT | O_APPEND, 0o600)
            await withTaskGroup(of: Void.self) { group in
                for task in 0..<8 {
                    group.addTask {
                        for number in 0..<1_000_000 {
                            let id = Int64(task * 1_000_000 + number)
                            guard (try? await engine.put(id)) != nil else { continue }
                            withUnsafeBytes(of: id) { _ = write(file, $0.baseAddress, 8) }
                            // The time runs from the first acknowledged write.
                            if task == 0, number == 0 {
                                DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(milliseconds)) {
                                    kill(getpid(), SIGKILL)
                                }
                            }
                        }
                    }
                }
            }
        }
        let acknowledged = try Self.ids(in: notes)
        #expect(!acknowledged.isEmpty)
        let engine = try await store.open()
        let stored = Set(try await engine.ids.map(Int64.init))
        #expect(acknowledged.subtracting(stored).isEmpty)
        await engine.close()
    }

    /// A commit that was acknowledged is on the disk. No process's death shows it, only the machine's.
    @Test func eachCommitIsSynced() async throws {
        let store = try TestStore(.sqlite)
        defer { store.remove() }
        let engine = try await store.open()
        let level = try await engine.write { tx throws(Fault) in try tx.value("PRAGMA synchronous", as: Int.self) }
        #expect(level == 2, "FULL")
        await engine.close()
    }

    /// The server ends amid writes and recovers; the same engine goes on with it.
    @Test func aKilledServerLosesNothingAcknowledged() async throws {
        let cluster = try TestCluster()
        defer { cluster.remove() }
        let store = try TestStore(.postgresql, in: cluster)
        let engine = try await store.open()
        try await engine.migrate(Fixtures.migrations)
        let acknowledged = Acknowledged()
        let isOver = Gate()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for task in 0..<4 {
                group.addTask {
                    for number in 0..<1_000_000 where !isOver.isOpen {
                        let id = Int64(task * 1_000_000 + number)
                        if (try? await engine.put(id)) != nil { acknowledged.insert(id) }
                    }
                }
            }
            try await Task.sleep(for: .milliseconds(200))
            try await Self.off { cluster.crash() }
            let before = acknowledged.ids.count
            try await Self.off { try cluster.start() }
            for _ in 0..<2000 where acknowledged.ids.count < before + 10 {
                try await Task.sleep(for: .milliseconds(5))
            }
            isOver.open()
            try await group.waitForAll()
            #expect(before > 0)
            #expect(acknowledged.ids.count > before, "writes go on after the restart")
        }
        let stored = Set(try await engine.ids.map(Int64.init))
        #expect(acknowledged.ids.subtracting(stored).isEmpty)
        await engine.close()
    }

    /// Runs what blocks beside the cooperative pool.
    private static func off(_ body: @escaping @Sendable () throws -> Void) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            DispatchQueue.global().async { continuation.resume(with: Result { try body() }) }
        }
    }

    private static func ids(in path: String) throws -> Set<Int64> {
        let file = open(path, O_RDONLY)
        defer { close(file) }
        var ids: Set<Int64> = []
        var id: Int64 = 0
        while withUnsafeMutableBytes(of: &id, { read(file, $0.baseAddress, 8) }) == 8 { ids.insert(id) }
        return ids
    }
}
