//  Claims: what only one may hold is held by one, what is counted is counted exactly, and what is
//  used up says so, however many ask at once.

import Database
import DatabaseTesting
import Model
import Store
import Testing

@Suite struct ClaimTests {
    private func withExamples(_ engine: EngineName, _ body: (any Engine, Examples) async throws -> Void) async throws {
        try await TestStore.with(engine, Migration.all) { store in
            let here = Examples()
            try await store.write { tx throws(Fault) in try here.insert(tx) }
            try await body(store, here)
        }
    }

    /// A port of its own for each address, since one names its port.
    private static func addPort(_ tx: Writing, like port: Port, _ number: Int) -> ID<Port> {
        var other = port
        other.id = ID(bits: UInt64(1000 + number))
        other.mac = MACAddress(local: UInt64(1000 + number))
        other.instance = nil
        tx.insert(other, into: Port.table)
        return other.id
    }

    /// A /28 has eleven addresses for ports; they are given once each, from many tasks at once, and
    /// the twelfth is told that there is none.
    @Test(arguments: EngineName.allCases)
    func privateAddressesUntilNoneIsLeft(engine: EngineName) async throws {
        try await withExamples(engine) { store, here in
            var small = here.subnet
            small.prefix = try #require(IPv4Prefix("172.31.200.16/28"))
            let subnet = small
            let port = here.port
            let given = try await withThrowingTaskGroup(of: IPv4Address?.self) { group in
                for number in 0..<14 {
                    group.addTask {
                        try await store.write { tx throws(Fault) in
                            var dice = Dice(seed: UInt64(number))
                            let id = ClaimTests.addPort(tx, like: port, number)
                            return try tx.claimAddress(of: subnet, for: id, wanted: nil, dice: &dice)
                        }
                    }
                }
                return try await group.reduce(into: [IPv4Address?]()) { $0.append($1) }
            }
            #expect(Set(given.compactMap(\.self)) == Set((20...30).map { IPv4Address(172, 31, 200, $0) }))
            #expect(given.filter { $0 == nil }.count == 3)
            #expect(try await store.read { tx throws(Fault) in try tx.heldAddresses(in: subnet) } == 11)
            // One that is named is claimed or not, and no other in its place.
            let again = try await store.write { tx throws(Fault) in
                var dice = Dice(seed: 1)
                try tx.run("DELETE FROM port_address WHERE address = $1", [IPv4Address(172, 31, 200, 25).value])
                let id = ClaimTests.addPort(tx, like: port, 99)
                return [
                    try tx.claimAddress(of: subnet, for: id, wanted: IPv4Address(172, 31, 200, 26), dice: &dice),
                    try tx.claimAddress(of: subnet, for: id, wanted: IPv4Address(172, 31, 200, 25), dice: &dice),
                ]
            }
            #expect(again == [nil, IPv4Address(172, 31, 200, 25)])
        }
    }

    /// Shapes of subnets, and which addresses ports may have.
    @Test(arguments: [
        ("10.0.0.0/24", 251, "10.0.0.1"), ("10.0.0.0/28", 11, "10.0.0.1"),
        // Nothing is left between what is reserved.
        ("10.0.0.0/29", 3, "10.0.0.1"), ("10.0.0.0/30", 0, "10.0.0.1"), ("10.0.0.0/32", 0, "10.0.0.1"),
        // The end of the address space.
        ("255.255.255.240/28", 11, "255.255.255.241"),
    ])
    func usableAddresses(prefix: String, count: Int, gateway: String) throws {
        var subnet = Examples().subnet
        subnet.prefix = try #require(IPv4Prefix(prefix))
        #expect(subnet.usable.count == count)
        #expect(subnet.gateway.description == gateway)
    }

    @Test(arguments: EngineName.allCases)
    func publicAddressesUntilNoneIsLeft(engine: EngineName) async throws {
        try await withExamples(engine) { store, here in
            let account = here.account.id
            let now = here.now
            let (first, second) = (
                here.range,
                ExternalRange(
                    prefix: try #require(IPv4Prefix("203.0.113.0/24")), first: IPv4Address(203, 0, 113, 7),
                    last: IPv4Address(203, 0, 113, 7))
            )
            try await store.write { tx throws(Fault) in
                for range in [first, second] { tx.insert(range, into: ExternalRange.table) }
            }
            let given = try await withThrowingTaskGroup(of: IPv4Address?.self) { group in
                for number in 0..<15 {
                    group.addTask {
                        try await store.write { tx throws(Fault) in
                            var dice = Dice(seed: UInt64(number))
                            let id: ID<Address> = dice.id()
                            return try tx.claimPublicAddress(
                                {
                                    Address(
                                        id: id, account: account, address: $0, isAutomatic: false, port: nil, created: now,
                                        revision: 1)
                                }, dice: &dice)?.address
                        }
                    }
                }
                return try await group.reduce(into: [IPv4Address?]()) { $0.append($1) }
            }
            #expect(Set(given.compactMap(\.self)).count == 12)
            #expect(
                given.compactMap(\.self).allSatisfy { address in
                    [first, second].contains { $0.first <= address && address <= $0.last }
                })
            #expect(given.filter { $0 == nil }.count == 3)
        }
    }

    /// A host of twelve free processors, from thirty tasks: six claims of two, exactly.
    @Test(arguments: EngineName.allCases)
    func capacityIsSoldOnce(engine: EngineName) async throws {
        try await withExamples(engine) { store, here in
            let host = here.host.id
            let pool = here.pool.id
            let sold = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<30 {
                    group.addTask {
                        try await store.write { tx throws(Fault) in
                            guard try tx.claim(host: host, processors: 2, memory: .gibibytes(1)) else { return 0 }
                            return try tx.claim(pool: pool, bytes: .gibibytes(150)) ? 101 : 1
                        }
                    }
                }
                return try await group.reduce(0, +)
            }
            // Six got processors, and five of them bytes of the 800.
            #expect(sold == 6 + 500)
            let after = try await store.read { tx throws(Fault) in
                (host: try tx.find(Host.table, host), pool: try tx.find(Pool.table, pool))
            }
            #expect(after.host?.processorsFree == 0 && after.host?.memoryFree == .gibibytes(42))
            #expect(after.pool?.bytesFree == .gibibytes(50))
        }
    }

    @Test(arguments: EngineName.allCases)
    func aHostThatIsNotUpTakesNothing(engine: EngineName) async throws {
        try await withExamples(engine) { store, here in
            let host = here.host.id
            for (state, takes) in [(Host.State.lost, false), (.closed, false), (.up, true)] {
                let taken = try await store.write { tx throws(Fault) in
                    try tx.set(state, of: host)
                    return try tx.claim(host: host, processors: 1, memory: .mebibytes(1))
                }
                #expect(taken == takes, "\(state)")
            }
        }
    }

    /// A claim comes back once, whoever gives it back how often; and again what is left when a row goes.
    @Test(arguments: EngineName.allCases)
    func claimsComeBackOnce(engine: EngineName) async throws {
        try await withExamples(engine) { store, here in
            let machine = here.machine
            let disk = here.disk
            let free = try await store.write { tx throws(Fault) in
                try tx.releaseCapacity(of: machine)
                // Twice in one transaction, with the row as it was read before.
                try tx.releaseCapacity(of: machine)
                try tx.release(machine)
                try tx.release(machine)
                try tx.release(disk)
                return try tx.find(Host.table, here.host.id)
            }
            #expect(free?.processorsFree == 16 && free?.memoryFree == .gibibytes(64))
            try await store.write { tx throws(Fault) in try tx.release(disk) }
            let pool = try await store.read { tx throws(Fault) in try tx.find(Pool.table, here.pool.id) }
            #expect(pool?.bytesFree == .gibibytes(900))
            // More than there is cannot come back.
            await #expect(throws: Fault.self) {
                try await store.write { tx throws(Fault) in
                    try tx.unclaim(host: here.host.id, processors: 1, memory: .zero)
                }
            }
        }
    }

    /// One granted holder of a machine or a disk; copies of an image may be in every pool.
    @Test(arguments: EngineName.allCases)
    func oneIsGranted(engine: EngineName) async throws {
        try await withExamples(engine) { store, here in
            var second = here.host
            second.id = ID(bits: 77)
            second.name = "second"
            let other = second
            try await store.write { tx throws(Fault) in tx.insert(other, into: Host.table) }
            var waiting = here.machine
            waiting.id = ID(bits: 78)
            waiting.host = other.id
            waiting.granted = false
            let next = waiting
            // The one that migrates has two, of which one is granted.
            try await store.write { tx throws(Fault) in tx.add(next) }
            let known = try await store.read { tx throws(Fault) in try tx.holding(.machine, next.thing) }
            #expect(known?.id == here.machine.id)
            await #expect(throws: Fault.self) {
                try await store.write { tx throws(Fault) in try tx.want(.running, granted: true, of: next) }
            }
            try await store.write { tx throws(Fault) in
                try tx.release(here.machine)
                try tx.want(.running, granted: true, of: next)
            }
        }
    }

    @Test(arguments: EngineName.allCases)
    func quotas(engine: EngineName) async throws {
        try await withExamples(engine) { store, here in
            let account = here.account.id
            // Without a limit there is no counter and no refusal.
            try await store.write { tx throws(Fault) in
                try tx.charge("volumes", 1_000_000, to: account)
                try tx.discharge("volumes", 5, from: account)
                try tx.limit("instances", to: 5, used: 2, for: account)
            }
            let charged = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        do throws(Fault) {
                            try await store.write { tx throws(Fault) in try tx.charge("instances", 1, to: account) }
                            return 1
                        } catch {
                            #expect(error.code == .limitExceeded)
                            return 0
                        }
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(charged == 3)
            try await store.write { tx throws(Fault) in
                try tx.discharge("instances", 4, from: account)
                try tx.limit("instances", to: 1, used: 99, for: account)
                // A limit leaves alone what is used.
                #expect(try tx.value("SELECT used FROM quota WHERE account = $1", [account.value], as: Int64.self) == 1)
            }
        }
    }

    /// Two that read one machine: the second to write is told.
    @Test(arguments: EngineName.allCases)
    func aChangeOverAnotherIsRefused(engine: EngineName) async throws {
        try await withExamples(engine) { store, here in
            let read = here.instance
            try await store.write { tx throws(Fault) in try tx.update(read) }
            let fault = await #expect(throws: Fault.self) { try await store.write { tx throws(Fault) in try tx.update(read) } }
            #expect(fault?.code == .conflict)
            // What is observed leaves the revision alone.
            var now = try #require(try await store.read { tx throws(Fault) in try tx.find(Instance.table, read.id) })
            #expect(now.revision == read.revision + 1)
            now.keyName = "other"
            let changed = now
            try await store.write { tx throws(Fault) in
                try tx.observe(.off, of: read.id)
                try tx.update(changed)
            }
        }
    }

    /// Resources of an operation are taken by one, in whatever order they are named.
    @Test(arguments: EngineName.allCases)
    func resourcesOfOperations(engine: EngineName) async throws {
        try await withExamples(engine) { store, here in
            var running = here.operation
            running.state = .running
            running.ended = nil
            running.id = ID(bits: 500)
            let first = running
            running.id = ID(bits: 501)
            let second = running
            let machine = here.instance.id.erased
            try await store.write { tx throws(Fault) in try tx.begin(first, holding: [here.volume.id.erased, machine]) }
            let fault = await #expect(throws: Fault.self) {
                try await store.write { tx throws(Fault) in try tx.begin(second, holding: [machine]) }
            }
            #expect(fault?.code == .conflict)
            try await store.write { tx throws(Fault) in
                #expect(try tx.operation(holding: .instance, machine.stored)?.id == first.id)
                try tx.wait(first.id, for: [AwaitedRow("holding", 5), AwaitedRow("holding", 5), AwaitedRow("port", -6)])
                #expect(try tx.operations(awaiting: AwaitedRow("port", -6)) == [first.id])
                #expect(try tx.advance(first, from: first.attempt + 1) == false)
                try tx.fail(first, reason: "for a reason", at: here.later)
                #expect(try tx.operations(awaiting: AwaitedRow("port", -6)) == [])
                try tx.begin(second, holding: [machine])
            }
            // One that has ended is not ended again.
            await #expect(throws: Fault.self) {
                try await store.write { tx throws(Fault) in try tx.fail(first, reason: "again", at: here.later) }
            }
        }
    }
}
