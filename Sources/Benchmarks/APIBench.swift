//  `karri bench api`: what calls cost in a full cloud, in calls a second and in CPU time of every
//  process that they keep busy.

import DatabaseTesting
import FoundationEssentials
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// The benchmark of the API.
public struct APIBench: Sendable {
    public enum Store: String, Sendable, CaseIterable { case sqlite, postgresql }

    public struct Settings: Sendable {
        public var instances = 10_000
        public var store = Store.sqlite
        /// Simulated hosts that are in session.
        public var hosts = 100
        public var launches = 400
        public var connections = 4
        /// Leaves the cloud running afterwards, for a look.
        public var keeps = false
        /// Measures the cloud that an earlier run left, instead of making one.
        public var usesKept = false
        public init() {}
    }

    let cloud: BenchCloud
    let settings: Settings
    let say: @Sendable (String) -> Void

    public init(cloud: BenchCloud, settings: Settings, say: @escaping @Sendable (String) -> Void) {
        self.cloud = cloud
        self.settings = settings
        self.say = say
    }

    /// The most machines that are launched through the API to fill the cloud; more are seeded into its store.
    static let launchedMax = 50_000
    static let accountMax = 2000
    static let launchAim = Aim(5, "ms")
    static let pageAim = Aim(50, "ms")
    static let rest = Duration.seconds(25)
    static let memoryAim = Aim(150, "MiB")

    public func run() async throws(Fault) {
        if !settings.usesKept { try cloud.requireNone() }
        say(Measured.machine(accelerator: "simulated"))
        var cluster: TestCluster?
        if settings.store == .postgresql {
            let made = try TestCluster()
            // The cloud's user reaches the socket; the data's own folder stays closed.
            chmod(made.folder, 0o711)
            cluster = made
        }
        do throws(Fault) {
            try await measure(cluster)
        } catch {
            if !settings.keeps { try? await cloud.uninstall() }
            throw error
        }
        if !settings.keeps { try await cloud.uninstall() }
    }

    private func measure(_ cluster: TestCluster?) async throws(Fault) {
        let accounts = try await start(cluster)
        let database = cluster.flatMap { cluster in
            Processes.running(with: ["-D", cluster.folder + "/data"]).ids.first.map { Processes.family(of: $0) }
        }
        let measured = cloud.processes + (database ?? Processes([]))
        let meter = APIMeter(cloud: cloud, processes: measured, connections: settings.connections, say: say)
        try await measured.settle(idle: 0.05)
        let idle = try await meter.idle()
        say("idle: \(decimal(idle * 1000, 1)) ms of CPU a second with \(settings.hosts) hosts in session")
        try await calls(meter, accounts, idle)
        say("8 MiB of SHA-256 in \(decimal(Measured.yardstickMilliseconds(), 1)) ms of CPU")
        // The processes give back what they have freed once they have been idle for some seconds.
        do { try await Task.sleep(for: APIBench.rest) } catch { throw Fault(.cancelled, "The benchmark was cancelled.") }
        memory()
    }

    private func memory() {
        let processes = cloud.processes
        let parts = processes.memoryByRole.map { "\($0.role) \(decimal($0.mebibytes, 1))" }.joined(separator: ", ")
        let total = processes.proportionalMebibytes
        say(
            "memory (PSS) of all processes after a rest of \(APIBench.rest): \(decimal(total, 1)) MiB (\(parts)); \(APIBench.memoryAim.verdict(total))"
        )
    }

    /// Starts and fills the cloud.
    ///
    /// - Returns: Its accounts, the one that most is asked of first.
    private func start(_ cluster: TestCluster?) async throws(Fault) -> [BenchCredentials] {
        if settings.usesKept { return try await kept() }
        let choices =
            ["--simulate", String(settings.hosts), "--public-range", "10.64.0.0/10", "--overcommit", "64"]
            + (cluster.map { ["--store", $0.conninfo()] } ?? [])
        say("starts a cloud of \(settings.hosts) simulated hosts on \(settings.store.rawValue)")
        let minutes = settings.instances > APIBench.launchedMax ? settings.instances / 100_000 + 1 : settings.instances / 10_000 + 1
        let gigabytes = Double(settings.instances) / 500_000
        say("filling it takes about \(minutes) minutes and \(decimal(gigabytes, 1)) GB in \(cloud.root)")
        try await cloud.up(choices)
        let isSeeded = settings.instances > APIBench.launchedMax
        let count = isSeeded ? 10 : max(1, min(10, settings.instances / 1000))
        var accounts: [BenchCredentials] = []
        for number in 1...count {
            let name = "bench-\(number)"
            try await cloud.karri(["account", "create", name])
            accounts.append(try cloud.credentials(of: name))
        }
        let began = ContinuousClock.now
        if isSeeded {
            let one = try await launch(1, cloud.client(), accounts[0], name: "template")
            try await waitUntilRunning(one, accounts[0])
            try await cloud.down()
            try await CloudSeed(
                cloud: cloud, conninfo: cluster?.conninfo(), instances: settings.instances, perAccount: APIBench.accountMax,
                say: say
            ).run()
            try await cloud.up()
            try await settleIn(accounts)
        } else {
            try await fill(accounts)
        }
        say("\(settings.instances) instances stand after \(decimal(seconds(ContinuousClock.now - began), 1)) s\(storeSize)")
        return accounts
    }

    /// How large SQLite's file has become.
    private var storeSize: String {
        var status = stat()
        let path = Installation(root: cloud.root, mark: cloud.mark).store + "/karri.db"
        guard settings.store == .sqlite, stat(path, &status) == 0 else { return "" }
        return "; the store has \(decimal(Double(status.st_size) / 1_000_000, 1)) MB"
    }

    /// Launches enough machines of each account that every host in session has some: a host's first
    /// machine of a network has it told of the whole network, which is not what a launch costs.
    private func settleIn(_ accounts: [BenchCredentials]) async throws(Fault) {
        for (place, account) in accounts.enumerated() {
            let ids = try await launch(min(250, settings.hosts * 5 / 2), cloud.client(), account, name: "settled-\(place)")
            try await waitUntilRunning(ids, account)
        }
        try await cloud.processes.settle(idle: 0.05)
    }

    /// The accounts of a cloud that is there, which is brought up.
    private func kept() async throws(Fault) -> [BenchCredentials] {
        try await cloud.up()
        var accounts: [BenchCredentials] = []
        for number in 1...10 {
            do throws(Fault) { accounts.append(try cloud.credentials(of: "bench-\(number)")) } catch { break }
        }
        guard !accounts.isEmpty else { throw Fault(.notFound, "\(cloud.root) holds no cloud of an earlier run with --keep") }
        try await settleIn(accounts)
        return accounts
    }

    /// Launches the cloud's machines through the API.
    private func fill(_ accounts: [BenchCredentials]) async throws(Fault) {
        let processes = cloud.processes
        let before = processes.cpuSeconds
        let client = cloud.client()
        var ids: [String] = []
        for (place, account) in accounts.enumerated() {
            var left = settings.instances / accounts.count + (place < settings.instances % accounts.count ? 1 : 0)
            while left > 0 {
                let count = min(left, 250)
                ids = try await launch(count, client, account, name: "web-\(place)-\(left / 250)")
                left -= count
                try await waitUntilRunning(ids, account)
            }
        }
        try await processes.settle(idle: 0.05)
        let cost = (processes.cpuSeconds - before) * 1000 / Double(settings.instances)
        say("RunInstances of up to 250 at once, until running: \(decimal(cost, 2)) ms of CPU an instance")
    }

    private func waitUntilRunning(_ ids: [String], _ account: BenchCredentials) async throws(Fault) {
        guard let last = ids.last else { return }
        let client = cloud.client()
        let end = ContinuousClock.now + .seconds(120)
        while try await client.call("DescribeInstances", [("InstanceId.1", last)], as: account).values("name").first != "running" {
            guard ContinuousClock.now < end else { throw Fault(.timedOut, "\(last) did not run within two minutes") }
            do { try await Task.sleep(for: .milliseconds(100)) } catch { throw Fault(.cancelled, "The benchmark was cancelled.") }
        }
    }

    private func launch(
        _ count: Int, _ client: SignedClient, _ account: BenchCredentials, name: String
    ) async throws(Fault) -> [String] {
        let image = try await cloud.starterImage(client, account)
        return try await client.call("RunInstances", APIBench.launch(image, count, name: name), as: account).values("instanceId")
    }

    static func launch(_ image: String, _ count: Int, name: String) -> [(String, String)] {
        [
            ("ImageId", image), ("InstanceType", "t3.nano"), ("MinCount", String(count)), ("MaxCount", String(count)),
            ("TagSpecification.1.ResourceType", "instance"), ("TagSpecification.1.Tag.1.Key", "Name"),
            ("TagSpecification.1.Tag.1.Value", name), ("TagSpecification.1.Tag.2.Key", "env"),
            ("TagSpecification.1.Tag.2.Value", "env-\(name.utf8.reduce(0) { $0 + Int($1) } % 10)"),
        ]
    }

    private func calls(_ meter: APIMeter, _ accounts: [BenchCredentials], _ idle: Double) async throws(Fault) {
        let client = cloud.client()
        let image = try await cloud.starterImage(client, accounts[0])
        let launched = try await meter.measure(
            "RunInstances of one, until running", calls: settings.launches, idle: idle, aim: APIBench.launchAim, settles: true
        ) { client, number throws(Fault) in
            let account = accounts[number % accounts.count]
            let answer = try await client.call(
                "RunInstances", APIBench.launch(image, 1, name: "new-\(number)"), as: account)
            guard let id = answer.values("instanceId").first else { throw Fault(.internalError, "a launch answered no instance") }
            return (answer, id)
        }
        try await waitUntilRunning(launched.last.map { [$0] } ?? [], accounts[(launched.count - 1) % accounts.count])
        let some = Array(launched.enumerated())
        try await meter.measure("DescribeInstances of one", calls: 2000, idle: idle) { client, number throws(Fault) in
            let (place, id) = some[number % some.count]
            return (try await client.call("DescribeInstances", [("InstanceId.1", id)], as: accounts[place % accounts.count]), "")
        }
        try await lists(meter, accounts[0], image, client, idle)
        try await meter.measure(
            "TerminateInstances of one, until gone", calls: launched.count, idle: idle, settles: true
        ) { client, number throws(Fault) in
            let answer = try await client.call(
                "TerminateInstances", [("InstanceId.1", launched[number])], as: accounts[number % accounts.count])
            return (answer, "")
        }
    }

    private func lists(
        _ meter: APIMeter, _ account: BenchCredentials, _ image: String, _ client: SignedClient, _ idle: Double
    ) async throws(Fault) {
        let vpc = try await client.call("DescribeVpcs", as: account).values("vpcId").first ?? ""
        let name = try await client.call("DescribeInstances", [("MaxResults", "5")], as: account).values("value").first ?? ""
        let lists: [(String, [(String, String)], Aim?)] = [
            ("page of 1,000", [], APIBench.pageAim),
            ("filter tag:Name", [("Filter.1.Name", "tag:Name"), ("Filter.1.Value.1", name)], nil),
            ("filter tag:env", [("Filter.1.Name", "tag:env"), ("Filter.1.Value.1", "env-3")], nil),
            ("filter state running", [("Filter.1.Name", "instance-state-name"), ("Filter.1.Value.1", "running")], nil),
            ("filter state stopped (none)", [("Filter.1.Name", "instance-state-name"), ("Filter.1.Value.1", "stopped")], nil),
            ("filter name web-*1", [("Filter.1.Name", "tag:Name"), ("Filter.1.Value.1", "web-*1")], nil),
            ("filter vpc-id", [("Filter.1.Name", "vpc-id"), ("Filter.1.Value.1", vpc)], nil),
        ]
        for (what, filter, aim) in lists {
            try await meter.measure(
                "DescribeInstances, \(what)", calls: 20, idle: idle, aim: aim, connections: 1
            ) { client, _ throws(Fault) in
                let answer = try await client.call("DescribeInstances", [("MaxResults", "1000")] + filter, as: account)
                return (answer, String(answer.values("amiLaunchIndex").count))
            }
        }
    }
}
