//  Accounts: made whole, known by their keys, and apart from each other.

import Authority
import CloudTesting
import Database
import DatabaseTesting
import Identity
import Model
import Networks
import Store
import Testing

@Suite struct AccountTests {
    @Test(arguments: EngineName.allCases)
    func aNewAccountIsWhole(engine: EngineName) async throws {
        try await TestCloud.with(engine) { cloud in
            let account = cloud.first.account
            #expect(account.number.count == 12 && account.number.allSatisfy(\.isNumber))
            let known = try #require(try await cloud.identity.identify(cloud.first.credentials.key))
            #expect(known.secret == .whole(cloud.first.credentials.secret))
            #expect(known.principal.account?.id == account.id)
            #expect(try await cloud.identity.identify("AKIANOBODYKNOWSTHIS0") == nil)
            let subnets = try await cloud.networks.subnets(by: cloud.call(cloud.first))
            #expect(subnets.map(\.zone.name) == [cloud.zone.name] && subnets[0].freeAddresses == 4091)
            let groups = try await cloud.networks.groups([], after: .min, limit: 10, by: cloud.call(cloud.first))
            #expect(groups.map(\.group.name) == ["default"] && groups[0].rules.count == 2)
            #expect(try await cloud.complaints() == [])
        }
    }

    @Test(arguments: ["", "ab", "with space", "ümlaut", "a/b", String(repeating: "x", count: 64)])
    func badNames(name: String) async throws {
        try await TestCloud.with(.sqlite) { cloud in
            let fault = await #expect(throws: Fault.self) { try await cloud.identity.createAccount(named: name) }
            #expect(fault?.code == .invalidParameter)
            let accounts = try await cloud.identity.accounts()
            #expect(accounts.count == 2)
        }
    }

    /// Ten make an account of one name at once: one does.
    @Test(arguments: EngineName.allCases)
    func oneOfAName(engine: EngineName) async throws {
        try await TestCloud.with(engine) { cloud in
            let made = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<10 {
                    group.addTask {
                        do throws(Fault) {
                            _ = try await cloud.identity.createAccount(named: "third")
                            return 1
                        } catch {
                            #expect(error.code == .alreadyExists)
                            return 0
                        }
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(made == 1)
            #expect(try await cloud.identity.accounts().map(\.name) == ["first", "second", "third"])
        }
    }

    @Test func aKeyThatIsWithdrawn() async throws {
        try await TestCloud.with(.sqlite) { cloud in
            let credentials = try await cloud.identity.createUser(
                named: "reader", of: cloud.first.account, policies: [.readOnlyAccess])
            let known = try #require(try await cloud.identity.identify(credentials.key))
            #expect(known.policies == [ManagedPolicy.readOnlyAccess.document])
            let key = credentials.key
            try await cloud.engine.write { tx throws(Fault) in
                try tx.run("UPDATE access_key SET active = FALSE WHERE key = $1", [.text(key)])
            }
            // What was looked up a moment ago is remembered for some seconds.
            cloud.clock.advance(by: .seconds(6))
            #expect(try await cloud.identity.identify(key) == nil)
            let fault = await #expect(throws: Fault.self) {
                try await cloud.identity.createUser(named: "reader", of: cloud.first.account, policies: [])
            }
            #expect(fault?.code == .alreadyExists)
        }
    }

    /// A zone that is added later has a default subnet in every account, once, that overlaps no other.
    @Test(arguments: EngineName.allCases)
    func aZoneThatComesLater(engine: EngineName) async throws {
        try await TestCloud.with(engine) { cloud in
            // Its name stands before the first zone's.
            let zone = Zone(id: cloud.chance.id(), name: "a-zone", region: TestCloud.region, created: cloud.clock.now)
            let seed = cloud.chance.bits()
            let networks = cloud.networks
            let now = cloud.clock.now
            for _ in 0..<2 {
                try await cloud.engine.write { tx throws(Fault) in
                    var dice = Dice(seed: seed)
                    if try tx.zone(named: zone.name) == nil { tx.insert(zone, into: Zone.table) }
                    try networks.addDefaults(tx, in: zone, now: now, dice: &dice)
                }
            }
            for tenant in [cloud.first, cloud.second] {
                let subnets = try await cloud.networks.subnets(by: cloud.call(tenant))
                #expect(Set(subnets.map(\.zone.name)) == ["a-zone", cloud.zone.name] && subnets.count == 2)
                #expect(!subnets[0].subnet.prefix.overlaps(subnets[1].subnet.prefix))
            }
            _ = try await cloud.identity.createAccount(named: "third")
        }
    }
}
