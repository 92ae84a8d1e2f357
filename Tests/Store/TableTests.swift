//  Every table: no two columns of one type are swapped, both engines' columns hold what the record
//  holds, and the schema is made on both.

import Database
import DatabaseTesting
import Model
import Store
import Testing

@Suite struct TableTests {
    /// The complaints about one table, without and with a store.
    private func check<Record>(
        _ table: Table<Record>, _ example: Record, key: some Column, _ engine: any Engine
    ) async throws -> [String] {
        try await complaints(about: table, example: example)
            + complaints(about: table, example: example, key: key, on: engine)
    }

    /// The second cloud's records are written over what the first one's refer to, so that each can be.
    @Test(arguments: EngineName.allCases)
    func columnsAreWhereTheyBelong(engine: EngineName) async throws {
        try await TestStore.with(engine, Migration.all) { store in
            let here = Examples()
            try await store.write { tx throws(Fault) in try here.insert(tx) }
            let next = Examples(seed: 8)
            var found: [String] = []
            found += try await check(Account.table, next.account, key: next.account.id, store)
            found += try await check(Zone.table, next.zone, key: next.zone.id, store)
            try await store.write { tx throws(Fault) in
                tx.insert(next.account, into: Account.table)
                tx.insert(next.zone, into: Zone.table)
            }
            found += try await check(User.table, next.user, key: next.user.id, store)
            found += try await check(Pool.table, next.pool, key: next.pool.id, store)
            found += try await check(Domain.table, next.domain, key: next.domain.id, store)
            found += try await check(KeyPair.table, next.keyPair, key: next.keyPair.id, store)
            try await store.write { tx throws(Fault) in
                tx.insert(next.user, into: User.table)
                tx.insert(next.pool, into: Pool.table)
                tx.insert(next.domain, into: Domain.table)
                for image in [next.kernel, next.ramdisk] { tx.insert(image, into: Image.table) }
            }
            found += try await check(AccessKey.table, next.accessKey, key: next.accessKey.key, store)
            found += try await check(Host.table, next.host, key: next.host.id, store)
            found += try await check(Fence.table, Fence(host: here.host.id, at: next.now), key: here.host.id, store)
            found += try await check(
                Remnant.table,
                Remnant(host: here.host.id, kind: .image, thing: 4711, epoch: 3, purpose: .kernel, digest: "abc"),
                key: here.host.id,
                store)
            found += try await check(Image.table, next.image, key: next.image.id, store)
            found += try await check(Volume.table, next.volume, key: next.volume.id, store)
            found += try await check(Router.table, next.router, key: next.router.id, store)
            found += try await check(Instance.table, next.instance, key: next.instance.id, store)
            found += try await check(Operation.table, next.operation, key: next.operation.id, store)
            found += try await check(ExternalRange.table, next.range, key: next.range.prefix, store)
            try await store.write { tx throws(Fault) in
                tx.insert(next.host, into: Host.table)
                tx.insert(next.router, into: Router.table)
                tx.insert(next.instance, into: Instance.table)
                tx.insert(next.volume, into: Volume.table)
            }
            found += try await check(Network.table, next.network, key: next.network.id, store)
            found += try await check(Attachment.table, next.attachment, key: next.attachment.id, store)
            found += try await check(Group.table, next.group, key: next.group.id, store)
            found += try await check(Holding.table, next.machine, key: next.machine.id, store)
            found += try await check(Holding.table, next.disk, key: next.disk.id, store)
            try await store.write { tx throws(Fault) in
                tx.insert(next.network, into: Network.table)
                for group in [next.group, next.peer] { tx.insert(group, into: Group.table) }
            }
            found += try await check(Subnet.table, next.subnet, key: next.subnet.id, store)
            found += try await check(Rule.table, next.rule, key: next.rule.id, store)
            found += try await check(Rule.table, next.peerRule, key: next.peerRule.id, store)
            try await store.write { tx throws(Fault) in tx.insert(next.subnet, into: Subnet.table) }
            found += try await check(Port.table, next.port, key: next.port.id, store)
            try await store.write { tx throws(Fault) in tx.insert(next.port, into: Port.table) }
            found += try await check(Address.table, next.address, key: next.address.id, store)
            // A machine has no bytes and a disk no host: those are one value of one type each.
            let expected = found.filter { $0.contains("the example has one value for") && $0.hasPrefix("holding") }
            #expect(found.filter { !expected.contains($0) } == [])
        }
    }

    @Test(arguments: EngineName.allCases)
    func migratedTwice(engine: EngineName) async throws {
        try await TestStore.with(engine, Migration.all) { store in
            try await store.migrate(Migration.all)
            #expect(try await Invariants.check(store) == [])
        }
    }
}
