//  Another account's row is not found, whatever it is of and whatever is to be done with it.

import Authority
import Database
import DatabaseTesting
import Model
import Store
import Testing

@Suite struct IsolationTests {
    private func call(_ account: Account) -> Call {
        let scope = AccountScope(id: account.id, number: account.number)
        let session = Session(of: .root(of: scope), identity: [], circumstances: Circumstances(now: account.created))
        return Call(session: session, request: "request", now: account.created, seed: 1)
    }

    private func expectHidden<Thing: Owned>(
        _ row: Thing, by call: Call, _ store: any Engine
    ) async throws where Thing: Equatable {
        let id = row.id
        let fault = await #expect(throws: Fault.self, "\(Thing.noun)") {
            try await store.read { tx throws(Fault) in try tx.find(id, for: Action<Thing>("ec2:Anything"), by: call).row }
        }
        #expect(fault?.code == .notFound && fault?.subject == id.erased, "\(Thing.noun)")
        // As if there were none.
        let unknown: ID<Thing> = ID(bits: id.bits ^ 1)
        let missing = await #expect(throws: Fault.self) {
            try await store.read { tx throws(Fault) in try tx.find(unknown, for: Action<Thing>("ec2:Anything"), by: call).row }
        }
        #expect(missing?.code == fault?.code && missing?.kind == fault?.kind)
    }

    private func expectSeen<Thing: Owned>(_ row: Thing, by call: Call, _ store: any Engine) async throws where Thing: Equatable {
        let id = row.id
        let found = try await store.read { tx throws(Fault) in try tx.find(id, for: Action<Thing>("ec2:Anything"), by: call) }
        #expect(found.row == row && found.permit.id == id, "\(Thing.noun)")
    }

    @Test(arguments: EngineName.allCases)
    func rowsOfOthers(engine: EngineName) async throws {
        try await TestStore.with(engine, Migration.all) { store in
            let (mine, theirs) = (Examples(seed: 7), Examples(seed: 8))
            try await store.write { tx throws(Fault) in
                try mine.insert(tx)
                try theirs.insert(tx)
            }
            let call = call(mine.account)
            try await expectHidden(theirs.instance, by: call, store)
            try await expectHidden(theirs.kernel, by: call, store)
            try await expectHidden(theirs.volume, by: call, store)
            try await expectHidden(theirs.keyPair, by: call, store)
            try await expectHidden(theirs.router, by: call, store)
            try await expectHidden(theirs.subnet, by: call, store)
            try await expectHidden(theirs.port, by: call, store)
            try await expectHidden(theirs.group, by: call, store)
            try await expectHidden(theirs.rule, by: call, store)
            try await expectSeen(mine.instance, by: call, store)
            try await expectSeen(mine.kernel, by: call, store)
            try await expectSeen(mine.volume, by: call, store)
            try await expectSeen(mine.keyPair, by: call, store)
            try await expectSeen(mine.router, by: call, store)
            try await expectSeen(mine.subnet, by: call, store)
            try await expectSeen(mine.port, by: call, store)
            try await expectSeen(mine.group, by: call, store)
            try await expectSeen(mine.rule, by: call, store)
            // A public image is everybody's to use, and its owner's to change.
            for action in Image.sharedActions.map({
                $0 == "ec2:RunInstances" ? Action<Image>("ec2:RunInstances") : Action("ec2:DescribeImages")
            }) {
                let image = theirs.image.id
                let found = try await store.read { tx throws(Fault) in try tx.find(image, for: action, by: call) }
                #expect(found.row == theirs.image && found.permit.id == image)
            }
            let image = theirs.image.id
            let refused = await #expect(throws: Fault.self) {
                try await store.read { tx throws(Fault) in
                    try tx.find(image, for: Action<Image>("ec2:DeregisterImage"), by: call).row
                }
            }
            #expect(refused?.code == .notOwner)
            try await expectSeen(mine.image, by: call, store)
            // One that is being removed is nobody's, not even its owner's.
            try await store.write { tx throws(Fault) in
                try tx.update(mine.image.id, state: .absent, digest: nil, size: .zero, fault: nil)
            }
            let removed = await #expect(throws: Fault.self) {
                try await store.read { tx throws(Fault) in
                    try tx.find(mine.image.id, for: Action<Image>("ec2:DescribeImages"), by: call).row
                }
            }
            #expect(removed?.code == .notFound)
            try await expectHiddenLists(theirs, mine.account.id, store)
        }
    }

    /// No list of an account has a row of the other.
    private func expectHiddenLists(_ theirs: Examples, _ mine: ID<Account>, _ store: any Engine) async throws {
        try await store.read { tx throws(Fault) in
            #expect(try tx.instances(InstanceSelection(account: mine), after: .min, limit: 9).allSatisfy { $0.account == mine })
            var tagged = InstanceSelection(account: mine)
            tagged.tag = ("Name", "example")
            #expect(try tx.instances(tagged, after: .min, limit: 9).map(\.account) == [mine])
            var elsewhere = InstanceSelection(account: mine)
            elsewhere.router = theirs.router.id
            #expect(try tx.instances(elsewhere, after: .min, limit: 9) == [])
            #expect(try tx.volumes(of: mine, after: .min, limit: 9).map(\.account) == [mine])
            #expect(try tx.ports(ofAccount: mine, after: .min, limit: 9).map(\.account) == [mine])
            #expect(try tx.groups(ofAccount: mine, after: .min, limit: 9).map(\.account) == [mine, mine])
            #expect(try tx.rules(ofAccount: mine, after: .min, limit: 9).map(\.account) == [mine, mine])
            #expect(try tx.keyPairs(of: mine).map(\.account) == [mine])
            #expect(try tx.images(visibleTo: mine, after: .min, limit: 9).filter { $0.account != mine } == [theirs.image])
            #expect(try tx.tags(of: mine, after: ("", .min, ""), limit: 9).map(\.account) == [mine])
        }
    }

    /// The parts of many machines are the same, read a hundred at a time, a few and one by one.
    @Test(arguments: EngineName.allCases)
    func partsAreTheSame(engine: EngineName) async throws {
        try await TestStore.with(engine, Migration.all) { store in
            let mine = Examples(seed: 7)
            let theirs = Examples(seed: 8)
            try await store.write { tx throws(Fault) in
                try mine.insert(tx)
                try theirs.insert(tx)
                for number in 0..<130 { try IsolationTests.addMachine(tx, like: mine, number) }
            }
            try await store.read { tx throws(Fault) in
                let machines = try tx.instances(InstanceSelection(account: mine.account.id), after: .min, limit: 1000)
                #expect(machines.count == 131)
                let page = IsolationTests.text(of: try tx.parts(of: machines), machines)
                let some = IsolationTests.text(of: try tx.parts(of: Array(machines.prefix(8))), Array(machines.prefix(8)))
                var single: [String] = []
                for machine in machines { single += IsolationTests.text(of: try tx.parts(of: [machine]), [machine]) }
                #expect(page == single)
                #expect(some == Array(single.prefix(8)))
                #expect(single.contains { $0.contains("tag Name") && $0.contains("web,default") && $0.contains("198.51.100.") })
            }
        }
    }

    private static func addMachine(_ tx: Writing, like mine: Examples, _ number: Int) throws(Fault) {
        var dice = Dice(seed: UInt64(number) + 100)
        var instance = mine.instance
        instance.id = dice.id()
        tx.insert(instance, into: Instance.table)
        var port = mine.port
        port.id = dice.id()
        port.mac = MACAddress(local: dice.next())
        port.instance = instance.id
        tx.insert(port, into: Port.table)
        try tx.set(groups: number.isMultiple(of: 2) ? [mine.group.id, mine.peer.id] : [mine.peer.id], of: port.id)
        var volume = mine.volume
        volume.id = dice.id()
        tx.insert(volume, into: Volume.table)
        var attachment = mine.attachment
        attachment.id = dice.id()
        attachment.instance = instance.id
        attachment.volume = volume.id
        tx.insert(attachment, into: Attachment.table)
        if number.isMultiple(of: 4) {
            var address = mine.address
            address.id = dice.id()
            address.address = IPv4Address(198, 51, 100, UInt8(100 + number))
            address.port = port.id
            tx.insert(address, into: Address.table)
            tx.set(Store.Tag(account: mine.account.id, kind: .instance, thing: instance.id.stored, key: "Name", value: "\(number)"))
        }
        var holding = mine.machine
        holding.id = dice.id()
        holding.thing = instance.id.stored
        tx.add(holding)
    }

    private static func text(of parts: InstanceParts, _ machines: [Instance]) -> [String] {
        machines.map { machine in
            let tags = (parts.tags[machine.id] ?? []).map { "tag \($0.key)=\($0.value)" }
            let ports = (parts.ports[machine.id] ?? []).map { port in
                let groups = (parts.groups[port.id] ?? []).map(\.name).joined(separator: ",")
                return "port \(port.id) in \(groups) at \(parts.addresses[port.id]?.address.description ?? "none")"
            }
            let disks = (parts.attachments[machine.id] ?? []).map { "disk \($0.volume)" }
            return ([machine.id.hex] + tags + ports + disks + ["on \(parts.holdings[machine.id]?.id.hex ?? "none")"])
                .joined(separator: " ")
        }
    }
}
