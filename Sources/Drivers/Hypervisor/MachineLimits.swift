//  Limits on a machine's QEMU by way of control groups. libvirt is told to keep its hands off them:
//  without systemd's machined it holds none, and thread limits never.

import Model
import Platform

extension ControlGroups {
    /// The files through which joins what outlives Karri.
    func keeperFiles() -> [String] { joiningFiles(of: "libvirt") }

    private func group(of machine: String) -> String { "machines/" + machine }

    /// The limits that cannot be held here, with why. Empty is good.
    public func unheldLimits() -> [String: String] {
        LimitFile.all.reduce(into: [:]) { unheld, limit in unheld[limit.name] = obstacle(to: limit.file, in: "machines") }
    }

    /// Puts a machine's process under limits.
    ///
    /// - Returns: Those asked for that are not held, with why.
    func hold(_ process: Int32, of machine: String, to limits: Machine.Limits) -> [String: String] {
        let asked = LimitFile.all.compactMap { limit in
            limit.value(limits).map { (limit.name, limit.file, version1: $0.version1, version2: $0.version2) }
        }
        var (folders, unheld) = limit(group(of: machine), to: asked)
        for folder in folders where !ControlGroups.write(String(process), to: folder + "/cgroup.procs") {
            unheld["process"] = "could not move the process into \(folder): \(systemError())"
        }
        return unheld
    }

    /// Removes a machine's groups, which are empty once it has ended.
    func release(_ machine: String) { remove(group(of: machine)) }
}

/// Which file holds a machine's limit, and how the limit is written there in each version.
struct LimitFile: Sendable {
    /// The property of `Machine.Limits`.
    let name: String
    let file: ControlGroups.File
    let value: @Sendable (Machine.Limits) -> (version1: String, version2: String)?

    static let cpuPeriodMicroseconds = 100_000

    static let all: [LimitFile] = [shares, quota, memory, threads, block]

    static let shares = LimitFile(name: "cpuShares", file: .init(version1: ("cpu", "cpu.shares"), version2: ("cpu", "cpu.weight")))
    { limits in
        guard let shares = limits.cpuShares.map({ min(max($0, 2), 262_144) }) else { return nil }
        return (String(shares), String(1 + (shares - 2) * 9999 / 262_142))
    }

    static let quota = LimitFile(
        name: "cpuPercentMax", file: .init(version1: ("cpu", "cpu.cfs_quota_us"), version2: ("cpu", "cpu.max"))
    ) { limits in
        guard let percent = limits.cpuPercentMax.map({ min(max($0, 1), 1_000_000) }) else { return nil }
        let quota = percent * cpuPeriodMicroseconds / 100
        return (String(quota), "\(quota) \(cpuPeriodMicroseconds)")
    }

    static let memory = LimitFile(
        name: "memoryMax", file: .memory
    ) { limits in
        limits.memoryMax.map { (String($0.bytes), String($0.bytes)) }
    }

    static let threads = LimitFile(name: "threadsMax", file: .tasks) { limits in
        limits.threadsMax.map { (String($0), String($0)) }
    }

    static let block = LimitFile(
        name: "blockWeight", file: .init(version1: ("blkio", "blkio.weight"), version2: ("io", "io.weight"))
    ) {
        limits in
        guard let weight = limits.blockWeight.map({ min(max($0, 10), 1000) }) else { return nil }
        return (String(weight), "default \(weight * 10)")
    }
}
