//  `karri bench launch`: how long a launch takes until the guest's ssh answers, beside the same guest
//  under bare QEMU, in turns, so that a busy machine weighs on both.

import FoundationEssentials
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// The benchmark of launches, on a cloud that runs.
public struct LaunchBench: Sendable {
    public struct Settings: Sendable {
        public var runs = 30
        public var type = "t3.micro"
        public var processors = 2
        public var memoryMebibytes = 1024
        public var accelerator = "tcg"
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

    static let aim = Aim(1.25, "x")
    static let patience = Duration.seconds(120)
    static let bareFailuresMax = 3
    static let groupName = "karri-bench"

    private struct Launch: Sendable {
        var seconds: Double
        var answered: Double
        /// When each line of the machine's story was written, in seconds since the call.
        var story: [(line: String, seconds: Double)]
    }

    public func run() async throws(Fault) {
        say(Measured.machine(accelerator: settings.accelerator))
        let caller = try cloud.credentials()
        let client = cloud.client()
        let image = try await cloud.starterImage(client, caller)
        let group = try await group(client, caller)
        let folder = "/tmp/karri-bench-\(getpid())"
        try await Command.run("mkdir", ["-p", folder])
        let images = "\(cloud.root)/var/lib/karri/starter-images/starter"
        let guest = BareGuest(
            BareGuest.Recipe(
                kernel: "\(images)/vmlinux", ramdisk: "\(images)/ramdisk.cpio", disk: "\(images)/disk.raw",
                processors: settings.processors, memoryMebibytes: settings.memoryMebibytes, isKVM: settings.accelerator == "kvm",
                port: 20_000 + UInt16(getpid() % 20_000), folder: folder))
        var launches: [Launch] = []
        var bare: [Double] = []
        var fault: Fault?
        do throws(Fault) {
            var failures = 0
            for number in 1...settings.runs {
                let launch = try await launch(client, caller, image, group, guest)
                try await guest.prepare()
                let without: Double
                do throws(Fault) { without = try await guest.start(within: LaunchBench.patience) } catch {
                    // QEMU's user network on a busy machine; the pair does not count.
                    failures += 1
                    guard failures <= LaunchBench.bareFailuresMax else { throw error }
                    say("run \(number): cloud \(decimal(launch.seconds, 2)) s, bare QEMU failed: \(error.message); not counted")
                    continue
                }
                launches.append(launch)
                bare.append(without)
                say(
                    "run \(number): cloud \(decimal(launch.seconds, 2)) s, bare QEMU \(decimal(without, 2)) s, ratio \(decimal(launch.seconds / without, 2))"
                )
            }
        } catch { fault = error }
        _ = try? await Command.run("rm", ["-rf", folder])
        _ = try? await client.call("DeleteSecurityGroup", [("GroupId", group)], as: caller)
        if !bare.isEmpty { report(launches, bare) }
        if let fault { throw fault }
    }

    private func report(_ launches: [Launch], _ bare: [Double]) {
        let whole = Samples(launches.map(\.seconds))
        let without = Samples(bare)
        let ratios = Samples(zip(launches, bare).map { $0.seconds / $1 })
        say("RunInstances to ssh banner, \(bare.count) runs: median \(decimal(whole.median, 2)) s, p90 \(decimal(whole.p90, 2)) s")
        say("bare QEMU to ssh banner:             median \(decimal(without.median, 2)) s, p90 \(decimal(without.p90, 2)) s")
        say(
            "ratio of medians \(decimal(whole.median / without.median, 3)), of p90 \(decimal(whole.p90 / without.p90, 3)); run by run median \(decimal(ratios.median, 3)), p90 \(decimal(ratios.p90, 3)); \(LaunchBench.aim.verdict(whole.median / without.median))"
        )
        say("where the time goes (median ms since the call):")
        say("  \(decimal(Samples(launches.map(\.answered)).median * 1000, 0))  the API answered")
        var lines: [String] = []
        for launch in launches { for entry in launch.story where !lines.contains(entry.line) { lines.append(entry.line) } }
        for line in lines {
            let times = Samples(launches.compactMap { launch in launch.story.first { $0.line == line }?.seconds })
            say("  \(decimal(times.median * 1000, 0))  \(line)")
        }
        say("  \(decimal(whole.median * 1000, 0))  the guest's ssh banner")
    }

    private func launch(
        _ client: SignedClient, _ caller: BenchCredentials, _ image: String, _ group: String, _ guest: BareGuest
    ) async throws(Fault) -> Launch {
        let at = Instant.ofSystemClock()
        let began = ContinuousClock.now
        let answer = try await client.call(
            "RunInstances",
            [
                ("ImageId", image), ("InstanceType", settings.type), ("MinCount", "1"), ("MaxCount", "1"),
                ("SecurityGroupId.1", group),
            ], as: caller)
        let answered = seconds(ContinuousClock.now - began)
        guard let id = answer.values("instanceId").first else { throw Fault(.internalError, "a launch answered no instance") }
        do throws(Fault) {
            let address = try await address(of: id, answer, client, caller)
            try await guest.wait(address: address, within: LaunchBench.patience)
            let took = seconds(ContinuousClock.now - began)
            let story = try await story(of: id, since: at)
            try await terminate(id, client, caller)
            return Launch(seconds: took, answered: answered, story: story)
        } catch {
            _ = try? await client.call("TerminateInstances", [("InstanceId.1", id)], as: caller)
            throw error
        }
    }

    private func address(
        of id: String, _ answer: Answer, _ client: SignedClient, _ caller: BenchCredentials
    ) async throws(Fault) -> String {
        if let address = answer.values("ipAddress").first { return address }
        let end = ContinuousClock.now + LaunchBench.patience
        while ContinuousClock.now < end {
            let shown = try await client.call("DescribeInstances", [("InstanceId.1", id)], as: caller)
            if let address = shown.values("ipAddress").first { return address }
            try await pause(.milliseconds(50))
        }
        throw Fault(.timedOut, "\(id) got no public address")
    }

    private func terminate(_ id: String, _ client: SignedClient, _ caller: BenchCredentials) async throws(Fault) {
        _ = try await client.call("TerminateInstances", [("InstanceId.1", id)], as: caller)
        let end = ContinuousClock.now + LaunchBench.patience
        while ContinuousClock.now < end {
            let shown = try await client.call("DescribeInstances", [("InstanceId.1", id)], as: caller)
            if shown.values("name").contains("terminated") { return }
            try await pause(.milliseconds(50))
        }
        throw Fault(.timedOut, "\(id) did not go")
    }

    private func story(of id: String, since: Instant) async throws(Fault) -> [(line: String, seconds: Double)] {
        try await cloud.karri(["trace", id]).split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
            guard words.count > 2, let at = Instant(iso8601: words[0]) else { return nil }
            // Ids of requests and volumes differ from run to run.
            let text = words.dropFirst().filter { !$0.hasPrefix("[") && !$0.hasPrefix("vol-") }.joined(separator: " ")
            return (line: text, seconds: seconds(at - since))
        }
    }

    /// A group that lets ssh in.
    private func group(_ client: SignedClient, _ caller: BenchCredentials) async throws(Fault) -> String {
        let known = try await client.call(
            "DescribeSecurityGroups", [("Filter.1.Name", "group-name"), ("Filter.1.Value.1", LaunchBench.groupName)], as: caller)
        if let group = known.values("groupId").first { return group }
        let made = try await client.call(
            "CreateSecurityGroup", [("GroupName", LaunchBench.groupName), ("GroupDescription", "karri bench launch")], as: caller)
        guard let group = made.values("groupId").first else { throw Fault(.internalError, "no group was made") }
        _ = try await client.call(
            "AuthorizeSecurityGroupIngress",
            [
                ("GroupId", group), ("IpPermissions.1.IpProtocol", "tcp"), ("IpPermissions.1.FromPort", "22"),
                ("IpPermissions.1.ToPort", "22"), ("IpPermissions.1.IpRanges.1.CidrIp", "0.0.0.0/0"),
            ], as: caller)
        return group
    }

    private func pause(_ span: Duration) async throws(Fault) {
        do { try await Task.sleep(for: span) } catch { throw Fault(.cancelled, "The benchmark was cancelled.") }
    }
}
