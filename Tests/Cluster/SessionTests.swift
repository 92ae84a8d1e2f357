//  What hosts are told, and what is made of what they say.

import CloudTesting
import Compute
import Database
import Fabric
import GRPCCore
import Logging
import Model
import Networks
import Store
import Testing

@testable import Cluster

@Suite struct SessionTests {
    private func controller(_ cloud: TestCloud) async throws -> ClusterController {
        var log = Logger(label: "cluster")
        log.logLevel = .critical
        let compute = cloud.compute
        return try await ClusterController(
            zone: cloud.zone, engine: cloud.engine, chance: cloud.chance, seal: cloud.seal, region: TestCloud.region, log: log
        ) { tx, holding, now, dice throws(Fault) in try compute.poweredOff(tx, holding, now: now, dice: &dice) }
    }

    /// Runs `body` with the cloud's hosts in session, and lets them hang up afterwards.
    private func inSession(
        _ cloud: TestCloud, _ controller: ClusterController, _ hosts: [TestHost], _ body: () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await controller.run() }
            for host in hosts {
                group.addTask {
                    try await host.run(
                        controller, zone: cloud.zone.name, processors: 64, memory: .gibibytes(128), pool: .gibibytes(4096))
                }
            }
            defer { group.cancelAll() }
            for host in hosts { try await until { host.welcome != nil } }
            try await body()
            for host in hosts { host.hangUp() }
        }
    }

    private func until(_ condition: () async throws -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(20)
        while try await !condition() {
            guard ContinuousClock.now < end else { throw Fault(.timedOut, "It did not come about.") }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// The entries of the machines, disks and images sections.
    private func keys(_ host: TestHost, _ section: String) -> Set<String> {
        Set((host.document.sections[section] ?? [:]).keys)
    }

    /// While machines come and go, rules and tags change: what a host was told bit by bit is what a
    /// host that comes anew is told at once.
    ///
    /// - Parameter losesTrack: Whether the controller is told now and then that changes passed it by.
    @Test(arguments: [false, true]) func bitByBitIsTheWhole(losesTrack: Bool) async throws {
        try await TestCloud.with(.sqlite) { cloud in
            let controller = try await controller(cloud)
            let hosts = cloud.hosts.map { TestHost($0.name) }
            try await inSession(cloud, controller, hosts) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        while losesTrack {
                            try await Task.sleep(for: .milliseconds(7))
                            await controller.loseTrack()
                        }
                    }
                    try await change(cloud)
                    group.cancelAll()
                }
                // The same hosts, anew: the first sessions end for theirs.
                for host in hosts {
                    let anew = TestHost(host.name)
                    let whole = try await whole(cloud, controller, anew)
                    let told = host.document
                    #expect(host.refused == nil)
                    #expect(told.sections.keys.sorted() == whole.sections.keys.sorted(), "\(host.name)")
                    for (section, entries) in whole.sections {
                        let before = told.sections[section] ?? [:]
                        #expect(before.keys.sorted() == entries.keys.sorted(), "\(host.name) \(section)")
                        for (key, entry) in entries { #expect(before[key] == entry, "\(host.name) \(section) \(key)") }
                    }
                }
            }
        }
    }

    /// The document of a host that begins a session now, once it stays as it is.
    private func whole(_ cloud: TestCloud, _ controller: ClusterController, _ host: TestHost) async throws -> Document {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await host.run(
                    controller, zone: cloud.zone.name, processors: 64, memory: .gibibytes(128), pool: .gibibytes(4096))
            }
            defer { group.cancelAll() }
            try await until { !host.document.sections.isEmpty }
            try await Task.sleep(for: .milliseconds(100))
            host.hangUp()
            return host.document
        }
    }

    private func change(_ cloud: TestCloud) async throws {
        let group = try await cloud.networks.createGroup(
            name: "web", description: "", router: nil, tags: [:], by: cloud.call(cloud.first))
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for tenant in [cloud.first, cloud.second] {
                tasks.addTask {
                    for number in 0..<12 {
                        let made = try await cloud.compute.launch(cloud.request(2), by: cloud.call(tenant)).map(\.instance.id)
                        try await cloud.compute.tag(made.map(\.erased), [("number", "\(number)")], by: cloud.call(tenant))
                        guard number.isMultiple(of: 3) else { continue }
                        _ = try await cloud.compute.terminate(made, by: cloud.call(tenant))
                    }
                }
            }
            tasks.addTask {
                for port in 1...20 {
                    let permission = Permission(
                        protocolNumber: 6, from: Int64(port), to: Int64(port), peer: .prefix(.everything))
                    _ = try await cloud.networks.authorize(
                        [(permission, "")], isEgress: false, on: group.id, tags: [:], by: cloud.call(cloud.first))
                }
            }
            try await tasks.waitForAll()
        }
        #expect(try await cloud.settle() == [])
        // News of other hosts wait for company.
        try await Task.sleep(for: ClusterController.gathering * 2)
    }

    /// A machine's entry comes with its disk's, after its image's copy.
    @Test func inOrder() async throws {
        try await TestCloud.with(.sqlite, { $0.hosts = 2 }) { cloud in
            let controller = try await controller(cloud)
            // The first host's pool has the image since its import, the second's has no copy yet.
            let (first, host) = (TestHost(cloud.hosts[0].name), TestHost(cloud.hosts[1].name))
            try await inSession(cloud, controller, [first, host]) {
                cloud.owner.script { $0.isSilent = true }
                let both = try await cloud.compute.launch(cloud.request(2), by: cloud.call(cloud.first))
                let made = try #require(both.first { $0.holding?.host == cloud.hosts[1].id })
                let other = try #require(both.first { $0.holding?.host == cloud.hosts[0].id })
                let machine = made.instance.id.hex
                let disk = made.attachments[0].volume.hex
                try await cloud.settle()
                try await until { self.keys(host, Section.images) == [cloud.image.id.hex] }
                try await until { self.keys(first, Section.machines) == [other.instance.id.hex] }
                #expect(keys(host, Section.disks) == [])
                #expect(keys(host, Section.machines) == [])
                cloud.owner.script { $0.isSilent = false }
                try await cloud.settle()
                try await until { self.keys(host, Section.machines) == [machine] && self.keys(host, Section.edge) == [machine] }
                #expect(keys(host, Section.disks) == [disk])
                _ = try await cloud.compute.terminate([made.instance.id], by: cloud.call(cloud.first))
                try await cloud.settle()
                try await until { self.keys(host, Section.machines) == [] && self.keys(host, Section.disks) == [] }
                #expect(keys(host, Section.edge) == [])
            }
        }
    }

    private func report(_ section: String, _ key: String, _ state: String, epoch: UInt64 = 1) -> Report {
        Report.with {
            $0.section = section
            $0.key = key
            $0.state = state
            $0.entryEpoch = epoch
            $0.startsDone = 1
        }
    }

    @Test func whatReportsAreWritten() async throws {
        try await TestCloud.with(.sqlite, { $0.hosts = 2 }) { cloud in
            let controller = try await controller(cloud)
            let made = try await cloud.compute.launch(cloud.request(), by: cloud.call(cloud.first))[0]
            try await cloud.settle()
            let home = try #require(made.holding?.host)
            let host = try #require(cloud.hosts.first { $0.id == home })
            let other = try #require(cloud.hosts.first { $0.id != home })
            let session = { (host: Host) in
                OwnerSession(
                    host: host.id, pool: host.pool, name: host.name, sender: DocumentSender(epoch: 1, counter: 0),
                    now: cloud.clock.now,
                    log: Logger(label: "session"))
            }
            let key = made.instance.id.hex
            // None of these is about this machine on this host under this grant.
            let strange = [
                report(Section.machines, key, "off", epoch: 2), report(Section.machines, key, "melted"),
                report(Section.machines, "not a key", "off"), report(Section.machines, "ffffffffffffffff", "off"),
                report(Section.disks, key, "absent"), report("weather", key, "off"), Report(),
            ]
            try await controller.reports.write(strange, from: session(host))
            try await controller.reports.write([report(Section.machines, key, "off")], from: session(other))
            #expect(try await cloud.instance(made.instance.id)?.phase == .running)
            try await controller.reports.write([report(Section.machines, key, "off")], from: session(host))
            #expect(try await cloud.instance(made.instance.id)?.phase == .stopping)
            // Said again, it is no news.
            try await controller.reports.write([report(Section.machines, key, "off")], from: session(host))
            try await cloud.settle()
            #expect(try await cloud.instance(made.instance.id)?.phase == .stopped)
            #expect(try await cloud.complaints() == [])
        }
    }

    /// A controller whose zone another has taken writes nothing any more.
    @Test func theOldControllerIsFenced() async throws {
        try await TestCloud.with(.sqlite, { $0.hosts = 1 }) { cloud in
            let old = try await controller(cloud)
            let made = try await cloud.compute.launch(cloud.request(), by: cloud.call(cloud.first))[0]
            try await cloud.settle()
            let new = try await controller(cloud)
            let epochs = (old: await old.epoch, new: await new.epoch)
            #expect(epochs.new == epochs.old + 1)
            let host = cloud.hosts[0]
            let session = OwnerSession(
                host: host.id, pool: host.pool, name: host.name, sender: DocumentSender(epoch: 1, counter: 0), now: cloud.clock.now,
                log: Logger(label: "session"))
            let word = report(Section.machines, made.instance.id.hex, "off")
            await #expect(throws: Fault.self) { try await old.reports.write([word], from: session) }
            #expect(try await cloud.instance(made.instance.id)?.phase == .running)
            try await new.reports.write([word], from: session)
            #expect(try await cloud.instance(made.instance.id)?.phase == .stopping)
            // The host is in session with the other one, for all that this one knows.
            let since = try await old.markLostHosts(since: [:])
            cloud.clock.advance(by: .seconds(11))
            await #expect(throws: Fault.self) { _ = try await old.markLostHosts(since: since) }
            let left = try await cloud.engine.read { tx throws(Fault) in try tx.find(Host.table, host.id) }
            #expect(left?.state == .up)
        }
    }

    private func state(_ cloud: TestCloud) async throws -> Host.State? {
        try await cloud.engine.read { tx throws(Fault) in try tx.find(Host.table, cloud.hosts[0].id)?.state }
    }

    /// A host without a session is lost after the grace, takes no machines then, and is up when it is back.
    @Test func lostAndBack() async throws {
        try await TestCloud.with(.sqlite, { $0.hosts = 1 }) { cloud in
            let controller = try await controller(cloud)
            let since = try await controller.markLostHosts(since: [:])
            #expect(since.count == 1)
            cloud.clock.advance(by: .seconds(11))
            _ = try await controller.markLostHosts(since: since)
            await #expect(throws: Fault.self) { try await cloud.compute.launch(cloud.request(), by: cloud.call(cloud.first)) }
            let host = TestHost(cloud.hosts[0].name)
            try await inSession(cloud, controller, [host]) {
                #expect(try await cloud.compute.launch(cloud.request(), by: cloud.call(cloud.first)).count == 1)
                // Marked lost in the moment in which its session began: the next look puts it right.
                try await cloud.engine.write { tx throws(Fault) in try tx.set(.lost, of: cloud.hosts[0].id) }
                _ = try await controller.markLostHosts(since: [:])
                #expect(try await state(cloud) == .up)
                #expect(try await cloud.compute.launch(cloud.request(), by: cloud.call(cloud.first)).count == 1)
                // A node that hangs keeps its session and says nothing.
                cloud.clock.advance(by: .seconds(31))
                let silent = try await controller.markLostHosts(since: [:])
                #expect(silent.count == 1)
                cloud.clock.advance(by: .seconds(11))
                _ = try await controller.markLostHosts(since: silent)
                #expect(try await state(cloud) == .lost)
            }
        }
    }

    /// A fenced host gets no session, and no machine of its own is told to it, until the operator accepts it.
    @Test func fencedUntilAccepted() async throws {
        try await TestCloud.with(.sqlite, { $0.hosts = 1 }) { cloud in
            let controller = try await controller(cloud)
            let name = cloud.hosts[0].name
            try await cloud.engine.write { tx throws(Fault) in try tx.set(.lost, of: cloud.hosts[0].id) }
            _ = try await cloud.compute.fence(host: name, request: "")
            let fenced = TestHost(name)
            await #expect(throws: RPCError.self) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask {
                        try await fenced.run(
                            controller, zone: cloud.zone.name, processors: 64, memory: .gibibytes(128), pool: .gibibytes(4096))
                    }
                    // A session that is granted all the same is ended, so that the test fails and does not hang.
                    group.addTask {
                        try? await until { fenced.welcome != nil }
                        fenced.hangUp()
                    }
                    defer { group.cancelAll() }
                    try await group.next()
                    try await group.next()
                }
            }
            #expect(fenced.welcome == nil)
            #expect(try await cloud.compute.accept(host: name, request: "") == 0)
            try await inSession(cloud, controller, [TestHost(name)]) {
                let made = try await cloud.compute.launch(cloud.request(), by: cloud.call(cloud.first))
                #expect(made.count == 1)
            }
        }
    }

    /// A host that comes back smaller than what was promised of it takes nothing new until enough is
    /// given back.
    @Test func aHostThatShrinks() async throws {
        try await TestCloud.with(
            .sqlite,
            {
                $0.hosts = 1
                $0.processors = 8
            }
        ) { cloud in
            let made = try await cloud.compute.launch(cloud.request(4), by: cloud.call(cloud.first)).map(\.instance.id)
            try await cloud.settle()
            let host = cloud.hosts[0].id
            try await cloud.engine.write { tx throws(Fault) in
                try tx.resize(host, processors: 4, memory: .gibibytes(128), accelerator: "tcg")
            }
            #expect(try await cloud.complaints() == [])
            _ = try await cloud.compute.terminate([made[0], made[1]], by: cloud.call(cloud.first))
            try await cloud.settle()
            #expect(try await cloud.complaints() == [])
            await #expect(throws: Fault.self) { try await cloud.compute.launch(cloud.request(), by: cloud.call(cloud.first)) }
            _ = try await cloud.compute.terminate([made[2]], by: cloud.call(cloud.first))
            try await cloud.settle()
            #expect(try await cloud.compute.launch(cloud.request(), by: cloud.call(cloud.first)).count == 1)
            #expect(try await cloud.complaints() == [])
        }
    }
}
