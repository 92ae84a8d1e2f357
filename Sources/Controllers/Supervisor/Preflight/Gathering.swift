//  Looks at the host for preflight. It changes nothing but modules that the kernel loads by itself
//  when a feature is tried, and sends no packet.

import CLinux
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

extension Preflight {
    /// The facts about this host. Root only, because features are tried in a namespace.
    ///
    /// What cannot be found out is left at its unknown value; nothing of it is a failure.
    public static func gather(_ installation: Installation, _ wishes: PreflightWishes) async -> HostFacts {
        var facts = HostFacts()
        facts.processors = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        facts.memory = KernelTables.memory(readText("/proc/meminfo") ?? "")
        facts.diskFree = freeSpace(at: installation.state)
        facts.kernel = line("/proc/sys/kernel/osrelease") ?? ""
        facts.hasVirtualization = access("/dev/kvm", R_OK | W_OK) == 0
        facts.missingPrograms = wishes.programs.map(\.name).filter { !isInstalled($0) }
        facts.kernelFeatures = await kernelFeatures()
        facts.listeners = listeners()
        await gatherNetwork(into: &facts, mark: wishes.mark)
        let adrift = karri_clock_is_adrift()
        facts.clockIsAdrift = adrift < 0 ? nil : adrift == 1
        let groups = ControlGroups.ofThisHost(mark: installation.mark)
        facts.hasControlGroups = groups.hierarchies.contains { $0.controllers.contains("memory") }
        facts.hasSystemd = SystemService.hasSystemd
        facts.container = container()
        facts.machineMaker = KernelTables.machineMaker(
            vendor: line("/sys/class/dmi/id/sys_vendor") ?? "", product: line("/sys/class/dmi/id/product_name") ?? "",
            tag: line("/sys/class/dmi/id/chassis_asset_tag") ?? "")
        facts.userIds = KernelTables.userIds(readText("/proc/self/uid_map") ?? "")
        // A mark that cannot be read is found by `prepare`, which says why.
        let mark = try? InstallationFolders.mark(of: installation)
        facts.installedLayout = mark?.layout
        facts.installedMark = mark?.mark
        facts.supervisor = Supervisor.running(installation)?.pid
        return facts
    }

    private static func gatherNetwork(into facts: inout HostFacts, mark: String) async {
        let wireless = Folder.readableNames(in: "/sys/class/net").filter {
            access("/sys/class/net/\($0)/wireless", F_OK) == 0 || access("/sys/class/net/\($0)/phy80211", F_OK) == 0
        }
        facts.interfaces = KernelTables.interfaces(await output("ip", ["-json", "address"]), wireless: Set(wireless))
        facts.routes = KernelTables.routes(await output("ip", ["-json", "-4", "route", "show", "table", "all"]))
        facts.resolvers = KernelTables.resolvers(readText("/etc/resolv.conf") ?? "")
        facts.firewalls = KernelTables.firewalls(await output("nft", ["-j", "list", "chains"]), mark: mark)
        if isInstalled("iptables-legacy"), readText("/proc/net/ip_tables_names")?.contains("filter") == true,
            await output("iptables-legacy", ["-S", "FORWARD"]).contains("-P FORWARD DROP")
        {
            facts.firewalls.append(.legacy)
        }
    }

    /// What a program said, or nothing if it failed.
    private static func output(_ program: String, _ arguments: [String]) async -> String {
        guard let result = try? await Command.attempt(program, arguments), result.status == 0 else { return "" }
        return result.output
    }

    /// Each feature is tried where nothing of it can stay: in a namespace that ends with the
    /// program. A feature whose program is missing is left out.
    private static func kernelFeatures() async -> [HostFacts.KernelFeature: Bool] {
        let trials: [(HostFacts.KernelFeature, [String])] = [
            (.namespaces, ["true"]),
            (.tap, ["ip", "tuntap", "add", "dev", "trial", "mode", "tap"]),
            (.veth, ["ip", "link", "add", "trial", "type", "veth"]),
            (.vxlan, ["ip", "link", "add", "trial", "type", "vxlan", "id", "1", "dstport", "4789"]),
            (.nftables, ["nft", "add", "table", "inet", "trial"]),
        ]
        var features: [HostFacts.KernelFeature: Bool] = [:]
        for (feature, command) in trials where command.first.map(isInstalled) == true {
            guard let result = try? await Command.attempt("unshare", ["--net"] + command) else { continue }
            features[feature] = result.status == 0
        }
        return features
    }

    private static func listeners() -> [HostFacts.Listener] {
        ["tcp", "tcp6"].flatMap { KernelTables.listeners(.tcp, in: readText("/proc/net/\($0)") ?? "") }
            + ["udp", "udp6"].flatMap { KernelTables.listeners(.udp, in: readText("/proc/net/\($0)") ?? "") }
    }

    /// Root's programs lie in the sbin folders, which a PATH kept by sudo or su may lack.
    private static func isInstalled(_ program: String) -> Bool {
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        let folders = path.split(separator: ":").map(String.init) + ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        return folders.contains { access("\($0)/\(program)", X_OK) == 0 }
    }

    /// The free space of the file system in which a folder lies or would lie.
    private static func freeSpace(at path: String) -> ByteCount? {
        var facts = statvfs()
        var folder = path
        while statvfs(folder, &facts) != 0 {
            guard errno == ENOENT, let slash = folder.lastIndex(of: "/") else { return nil }
            folder = slash == folder.startIndex ? "/" : String(folder[..<slash])
        }
        let (bytes, overflow) = Int64(clamping: facts.f_bavail).multipliedReportingOverflow(by: Int64(clamping: facts.f_frsize))
        return overflow ? nil : ByteCount(bytes)
    }

    /// The container's kind, from the files that its manager leaves.
    private static func container() -> String? {
        if let name = line("/run/systemd/container"), !name.isEmpty { return name }
        if access("/.dockerenv", F_OK) == 0 { return "docker" }
        if access("/run/.containerenv", F_OK) == 0 { return "podman" }
        let variables = (readText("/proc/1/environ") ?? "").split(separator: "\0")
        return variables.first { $0.hasPrefix("container=") }.map { String($0.dropFirst("container=".count)) }
    }

    /// The first line of a small file.
    private static func line(_ path: String) -> String? {
        readText(path).map { $0.split(separator: "\n").first.map(String.init) ?? "" }
    }
}
