//  Every query and command of this layer runs on both engines, over a small filled store, and
//  means the same.

import Authority
import Database
import DatabaseTesting
import Model
import Testing

@testable import Store

@Suite struct StatementTests {
    private func withExamples(
        _ engine: EngineName, _ body: @escaping (any Engine, Examples) async throws -> Void
    ) async throws {
        try await TestStore.with(engine, Migration.all) { store in
            let here = Examples()
            try await store.write { tx throws(Fault) in try here.insert(tx) }
            try await body(store, here)
        }
    }

    @Test(arguments: EngineName.allCases)
    func queries(engine: EngineName) async throws {
        try await withExamples(engine) { store, here in
            try await store.read { tx throws(Fault) in
                let account = here.account.id
                #expect(try tx.account(number: here.account.number) == here.account)
                #expect(try tx.account(named: here.account.name) == here.account)
                #expect(try tx.credential(here.accessKey.key)?.policies == ["AdministratorAccess"])
                #expect(try tx.credential("AKIANOBODY") == nil)
                #expect(try tx.address(of: here.port.id) == here.address)
                #expect(try tx.groups(ofAccount: account, after: .min, limit: 9).count == 2)
                #expect(try tx.group(named: "web", in: here.router.id) == here.group)
                #expect(try tx.rules(of: here.group.id).count == 2)
                #expect(try tx.rules(ofAccount: account, after: .min, limit: 1).count == 1)
                #expect(try tx.holding(.machine, here.instance.id.stored) == here.machine)
                #expect(try tx.holding(.disk, here.volume.id.stored, in: here.pool.id) == here.disk)
                #expect(try tx.holding(.machine, here.instance.id.stored, on: here.host.id) == here.machine)
                #expect(try tx.holdings(on: here.host.id, pool: here.pool.id) == [here.machine, here.disk])
                #expect(try tx.images(visibleTo: account, after: .min, limit: 9).count == 3)
                #expect(try tx.images(visibleTo: ID(bits: 1), after: .min, limit: 9) == [here.image])
                #expect(try tx.image(named: "starter", of: account) == here.image)
                #expect(try tx.machineCounts().unsettled == 1)
                #expect(try tx.keyPair(named: "key", of: account) == here.keyPair)
                #expect(try tx.keyPairs(of: account) == [here.keyPair])
                #expect(try tx.routers(of: account) == [here.router])
                #expect(try tx.defaultRouter(of: account) == here.router)
                #expect(try tx.subnets(of: account) == [here.subnet])
                #expect(try tx.subnets(in: here.router.id) == [here.subnet])
                #expect(try tx.heldAddresses(in: here.subnet) == 0)
                #expect(try tx.operations(of: .instance, here.instance.id.stored) == [here.operation])
                #expect(try tx.operation(holding: .instance, here.instance.id.stored) == nil)
                #expect(try tx.runningOperations() == [])
                #expect(try tx.dueOperations(at: here.later, limit: 5) == [])
                #expect(try tx.ports(of: here.instance.id) == [here.port])
                #expect(try tx.ports(ofAccount: account, after: here.port.id.stored, limit: 5) == [])
                #expect(try tx.groups(of: here.port.id) == [here.group.id])
                #expect(try tx.story(of: .instance, 1).isEmpty)
                #expect(try tx.tags(of: .instance, here.instance.id.stored).map(\.value) == ["example"])
                #expect(try tx.zones() == [here.zone])
                #expect(try tx.zone(named: here.zone.name) == here.zone)
                #expect(try tx.host(named: here.host.name) == here.host)
                #expect(try tx.hosts(in: here.zone.id) == [here.host])
                #expect(try tx.pool(named: here.pool.name) == here.pool)
                #expect(try tx.volumes(of: account, after: .min, limit: 5) == [here.volume])
                #expect(try tx.attachment(of: here.volume.id) == here.attachment)
                #expect(try tx.attachments(of: here.instance.id) == [here.attachment])
            }
        }
    }

    /// The query of each invariant is understood by both engines, and is seen to find something.
    @Test(arguments: EngineName.allCases)
    func invariantsSpeak(engine: EngineName) async throws {
        try await withExamples(engine) { store, here in
            try await store.prepareAll(Invariants.rules.map { $0.query + " LIMIT 1" })
            // The examples are no cloud that could have come about: the machine has ended and holds all.
            let found = Set(try await Invariants.check(store).map { $0.prefix { $0 != ":" } }.map(String.init))
            #expect(
                found.isSuperset(of: [
                    "a host holds a machine that is gone", "a volume is attached to a machine that is gone",
                    "a port of a machine that is gone", "a port does not hold its address",
                    "a machine is being changed and nothing does it",
                    "a machine that should run lacks capacity",
                ]), "\(found)")
        }
    }

    @Test(arguments: EngineName.allCases)
    func tagsAndPages(engine: EngineName) async throws {
        try await withExamples(engine) { store, here in
            let account = here.account.id
            try await store.write { tx throws(Fault) in
                for (kind, thing) in [(Kind.volume, here.volume.id.stored), (.instance, here.instance.id.stored)] {
                    for key in ["b", "a", "c"] {
                        tx.set(Store.Tag(account: account, kind: kind, thing: thing, key: key, value: "1"))
                    }
                }
                tx.set(Store.Tag(account: account, kind: .volume, thing: here.volume.id.stored, key: "a", value: "2"))
                // Another value is not removed, the given one is, and so is any.
                try tx.removeTag(.volume, here.volume.id.stored, key: "a", value: "1")
                try tx.removeTag(.volume, here.volume.id.stored, key: "b", value: "1")
                try tx.removeTag(.volume, here.volume.id.stored, key: "c", value: nil)
            }
            let all = try await store.read { tx throws(Fault) in
                var all: [Store.Tag] = []
                var place = (kind: "", thing: Int64.min, key: "")
                for _ in 0..<20 {
                    let page = try tx.tags(of: account, after: place, limit: 2)
                    guard let last = page.last else { break }
                    all += page
                    place = (last.kind.rawValue, last.thing, last.key)
                }
                return all
            }
            #expect(
                all.map { "\($0.kind.rawValue) \($0.key)=\($0.value)" } == [
                    "instance Name=example", "instance a=1", "instance b=1", "instance c=1", "volume a=2",
                ])
            try await store.write { tx throws(Fault) in try tx.removeTags(of: .instance, here.instance.id.stored) }
            #expect(try await store.read { tx throws(Fault) in try tx.tags(of: .instance, here.instance.id.stored) } == [])
        }
    }

    @Test(arguments: EngineName.allCases)
    func tokens(engine: EngineName) async throws {
        try await withExamples(engine) { store, here in
            let account = here.account.id
            let now = here.now
            let later = here.later
            try await store.write { tx throws(Fault) in
                try tx.remember(account, "RunInstances", "t", digest: [1], result: -5, expires: later)
                try tx.remember(account, "RunInstances", "t", digest: [2], result: 6, expires: later)
            }
            try await store.read { tx throws(Fault) in
                let known = try tx.clientToken(account, "RunInstances", "t", now: now)
                #expect(known == ClientToken(digest: [2], result: 6))
                #expect(try tx.clientToken(account, "RunInstances", "t", now: later) == nil)
                #expect(try tx.clientToken(account, "StopInstances", "t", now: now) == nil)
                #expect(try tx.clientToken(ID(bits: 4), "RunInstances", "t", now: now) == nil)
            }
        }
    }

    @Test(arguments: EngineName.allCases)
    func storyAndLease(engine: EngineName) async throws {
        try await withExamples(engine) { store, here in
            let lines = try await store.write { tx throws(Fault) in
                tx.tell(.instance, 5, at: here.now, source: "cloud", request: "r", "one")
                tx.tell(.instance, 5, at: here.now, source: "node", String(repeating: "x", count: 5000))
                tx.meter("event", .instance, 5, account: here.account.id, zone: nil, at: here.now, facts: "{}")
                return try tx.story(of: .instance, 5)
            }
            #expect(lines.map(\.source) == ["cloud", "node"] && lines.map(\.request) == ["r", nil])
            #expect(lines.map(\.text.count) == [3, 2000])
            let epochs = try await store.write { tx throws(Fault) in
                [try tx.takeLease("zone", holder: "a"), try tx.takeLease("zone", holder: "b")]
            }
            #expect(epochs == [1, 2])
            try await store.write { tx throws(Fault) in try tx.require("zone", epoch: 2) }
            for (lease, epoch) in [("zone", Int64(1)), ("zone", 3), ("other", 1)] {
                await #expect(throws: Fault.self) {
                    try await store.write { tx throws(Fault) in try tx.require(lease, epoch: epoch) }
                }
            }
        }
    }
}
