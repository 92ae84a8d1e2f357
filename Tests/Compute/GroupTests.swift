//  Security groups of running machines, and what belongs to another account.

import CloudTesting
import Compute
import Database
import DatabaseTesting
import Images
import Model
import Networks
import Store
import Testing
import Volumes

@Suite struct GroupTests {
    private func code(_ body: () async throws -> Void) async -> Fault.Code? {
        do {
            try await body()
            return nil
        } catch { return (error as? Fault)?.code }
    }

    private func group(_ name: String, _ tenant: TestCloud.Tenant, _ cloud: TestCloud) async throws -> ID<Group> {
        try await cloud.networks.createGroup(name: name, description: "", router: nil, tags: ["a": "b"], by: cloud.call(tenant)).id
    }

    private func delete(_ id: ID<Group>, _ cloud: TestCloud) async -> Fault.Code? {
        await code { try await cloud.networks.deleteGroup(id, by: cloud.call(cloud.first)) }
    }

    private let http = Permission(protocolNumber: 6, from: 80, to: 80, peer: .prefix(.everything))

    @Test(arguments: EngineName.allCases)
    func groupsInUse(engine: EngineName) async throws {
        try await TestCloud.with(engine) { cloud in
            let web = try await group("web", cloud.first, cloud)
            let other = try await group("other", cloud.first, cloud)
            #expect(await code { _ = try await group("web", cloud.first, cloud) } == .alreadyExists)
            _ = try await group("web", cloud.second, cloud)
            var request = cloud.request()
            // Named twice is named once.
            request.groups = [web, web]
            let id = try await cloud.compute.launch(request, by: cloud.call(cloud.first))[0].instance.id
            try await cloud.settle()
            #expect(await delete(web, cloud) == .inUse)
            let peer = Permission(protocolNumber: -1, from: -1, to: -1, peer: .group(other))
            _ = try await cloud.networks.authorize(
                [(peer, "")], isEgress: false, on: web, tags: [:], by: cloud.call(cloud.first))
            #expect(await delete(other, cloud) == .inUse, "a rule names it")
            try await cloud.compute.modify(id, .groups([other, other]), by: cloud.call(cloud.first))
            #expect(await delete(web, cloud) == nil)
            #expect(await delete(web, cloud) == .notFound)
            #expect(await delete(other, cloud) == .inUse)
            _ = try await cloud.compute.terminate([id], by: cloud.call(cloud.first))
            try await cloud.settle()
            #expect(await delete(other, cloud) == nil)
            let home = try #require(try await cloud.networks.group(named: "default", by: cloud.call(cloud.first)))
            #expect(await delete(home.id, cloud) == .protected)
            #expect(try await cloud.complaints() == [])
        }
    }

    @Test(arguments: EngineName.allCases)
    func rulesOnce(engine: EngineName) async throws {
        try await TestCloud.with(engine) { cloud in
            let web = try await group("web", cloud.first, cloud)
            let call = { cloud.call(cloud.first) }
            let rules = try await cloud.networks.authorize([(http, "all")], isEgress: false, on: web, tags: ["a": "b"], by: call())
            let again = await code {
                _ = try await cloud.networks.authorize([(http, "other words")], isEgress: false, on: web, tags: [:], by: call())
            }
            #expect(again == .alreadyExists)
            let https = Permission(protocolNumber: 6, from: 443, to: 443, peer: .prefix(.everything))
            let mixed = await code {
                _ = try await cloud.networks.authorize(
                    [(https, ""), (http, "")], isEgress: false, on: web, tags: [:], by: call())
            }
            #expect(mixed == .alreadyExists)
            #expect(try await cloud.networks.rules([], after: .min, limit: 99, by: call()).count == 4, "all or none")
            // The same the other way is another rule.
            _ = try await cloud.networks.authorize([(http, "")], isEgress: true, on: web, tags: [:], by: call())
            try await cloud.networks.modify([(rules[0].id, https, "changed")], on: web, by: call())
            let changed = try await cloud.networks.rules([rules[0].id], after: .min, limit: 1, by: call())
            #expect(changed.first?.rule.permission == https && changed.first?.tags.map(\.value) == ["b"])
            let (revoked, unknown) = try await cloud.networks.revoke([https, http], ids: [], isEgress: false, on: web, by: call())
            #expect(revoked.map(\.id) == [rules[0].id] && unknown == [http])
            #expect(try await cloud.complaints() == [])
        }
    }

    @Test(
        arguments: [
            (6, -1, 80, false), (6, 80, 79, false), (6, 0, 65536, false), (17, 53, 53, true), (1, -1, -1, true), (1, 8, 0, true),
            (1, 256, 0, false), (58, -2, 0, false), (-1, -1, -1, true), (-2, 0, 0, false), (256, 0, 0, false),
            // A protocol without ports.
            (47, -1, -1, true),
        ] as [(Int64, Int64, Int64, Bool)])
    func permissions(number: Int64, from: Int64, to: Int64, isGood: Bool) {
        let permission = Permission(protocolNumber: number, from: from, to: to, peer: .prefix(.everything))
        #expect((permission.problem == nil) == isGood)
    }

    /// Every call with the other account's ids: it finds nothing, and nothing changes.
    @Test(arguments: EngineName.allCases)
    func theOtherAccount(engine: EngineName) async throws {
        try await TestCloud.with(engine) { cloud in
            let made = try await cloud.compute.launch(cloud.request(), by: cloud.call(cloud.first))[0]
            try await cloud.settle()
            let web = try await group("web", cloud.first, cloud)
            let rule = try await cloud.networks.authorize(
                [(http, "")], isEgress: false, on: web, tags: [:], by: cloud.call(cloud.first))
            let id = made.instance.id
            let port = made.ports[0].port
            let call = { cloud.call(cloud.second) }
            var elsewhere = cloud.request()
            elsewhere.subnet = port.subnet
            let toSubnet = elsewhere
            elsewhere.subnet = nil
            elsewhere.groups = [web]
            let toGroup = elsewhere
            let mine = try await group("mine", cloud.second, cloud)
            let named = Permission(protocolNumber: -1, from: -1, to: -1, peer: .group(web))
            let before = try await cloud.instance(id)
            let calls: [(String, () async throws -> Void)] = [
                ("describe", { _ = try await cloud.compute.instances([id], by: call()) }),
                ("user data", { _ = try await cloud.compute.userData(of: id, by: call()) }),
                ("stop", { _ = try await cloud.compute.stop([id], by: call()) }),
                ("start", { _ = try await cloud.compute.start([id], by: call()) }),
                ("reboot", { try await cloud.compute.reboot([id], by: call()) }),
                ("terminate", { _ = try await cloud.compute.terminate([id], by: call()) }),
                ("modify", { try await cloud.compute.modify(id, .disableStop(true), by: call()) }),
                ("launch into a subnet", { _ = try await cloud.compute.launch(toSubnet, by: call()) }),
                ("launch into a group", { _ = try await cloud.compute.launch(toGroup, by: call()) }),
                ("delete a group", { try await cloud.networks.deleteGroup(web, by: call()) }),
                (
                    "a rule in a group",
                    {
                        _ = try await cloud.networks.authorize([(http, "")], isEgress: true, on: web, tags: [:], by: call())
                    }
                ),
                (
                    "a rule that names a group",
                    {
                        _ = try await cloud.networks.authorize([(named, "")], isEgress: false, on: mine, tags: [:], by: call())
                    }
                ),
                ("revoke", { _ = try await cloud.networks.revoke([], ids: [rule[0].id], isEgress: false, on: web, by: call()) }),
                ("change a rule", { try await cloud.networks.modify([(rule[0].id, http, "")], on: mine, by: call()) }),
                ("rules", { _ = try await cloud.networks.rules([rule[0].id], after: .min, limit: 1, by: call()) }),
                ("ports", { _ = try await cloud.networks.ports([port.id], after: .min, limit: 1, by: call()) }),
                (
                    "volumes",
                    {
                        _ = try await cloud.volumes.volumes([made.attachments[0].volume], after: .min, limit: 1, by: call())
                    }
                ),
                ("tag", { try await cloud.compute.tag([id.erased], [("a", "b")], by: call()) }),
                ("tag a public image", { try await cloud.compute.tag([cloud.image.id.erased], [("a", "b")], by: call()) }),
                ("untag", { try await cloud.compute.untag([port.id.erased], [], by: call()) }),
            ]
            for (name, body) in calls { #expect(await code(body) == .notFound, "\(name)") }
            #expect(try await cloud.instance(id) == before)
            #expect(try await cloud.complaints() == [])
        }
    }
}
