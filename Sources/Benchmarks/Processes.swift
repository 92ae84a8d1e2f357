//  What the processes of a cloud cost: their CPU time and their memory, read from the kernel.

import FoundationEssentials
import Model

#if canImport(Glibc)
    import Glibc
#endif

/// Processes that are measured together.
public struct Processes: Sendable, Hashable {
    public var ids: [Int32]

    public init(_ ids: [Int32]) { self.ids = ids }

    /// The processes whose command line has all of some words.
    public static func running(with words: [String]) -> Processes {
        Processes(
            all().filter { id in
                let line = Measured.text("/proc/\(id)/cmdline").split(separator: "\0").map(String.init)
                return words.allSatisfy { line.contains($0) }
            })
    }

    /// A process and its children.
    public static func family(of parent: Int32) -> Processes {
        Processes(
            all().filter { id in
                if id == parent { return true }
                // proc(5): the name in parentheses may hold blanks; the parent is the second field after it.
                let fields = Measured.text("/proc/\(id)/stat").split(separator: ")").last?.split(separator: " ") ?? []
                return fields.count > 1 && Int32(fields[1]) == parent
            })
    }

    private static func all() -> [Int32] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }
    }

    public static func + (left: Processes, right: Processes) -> Processes { Processes(left.ids + right.ids) }

    /// The CPU time of all until now, in seconds (clock_getcpuclockid(3)).
    public var cpuSeconds: Double { ids.reduce(0) { $0 + Processes.cpuSeconds(of: $1) } }

    private static func cpuSeconds(of id: Int32) -> Double {
        var clock = clockid_t()
        var time = timespec()
        guard clock_getcpuclockid(id, &clock) == 0, clock_gettime(clock, &time) == 0 else { return 0 }
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// The CPU time of each kind of process, by the role that its command line names, in seconds.
    public var cpuSecondsByRole: [String: Double] {
        ids.reduce(into: [:]) { $0[Processes.role(of: $1), default: 0] += Processes.cpuSeconds(of: $1) }
    }

    private static func role(of id: Int32) -> String {
        let words = Measured.text("/proc/\(id)/cmdline").split(separator: "\0").map(String.init)
        let program = words.first?.split(separator: "/").last.map(String.init) ?? "?"
        // PostgreSQL's processes tell on their command line what they do just now.
        if program.hasPrefix("postgres") { return "postgres" }
        return program == "karri" && words.count > 1 ? words[1] : program
    }

    /// The memory of all, each shared page counted once among its users, in MiB (proc(5), smaps_rollup).
    public var proportionalMebibytes: Double { ids.reduce(0) { $0 + Processes.mebibytes(of: $1) } }

    static func mebibytes(of id: Int32) -> Double {
        let line = Measured.text("/proc/\(id)/smaps_rollup").split(separator: "\n").first { $0.hasPrefix("Pss:") }
        return line?.split(separator: " ").compactMap { Double($0) }.first.map { $0 / 1024 } ?? 0
    }

    /// The memory of each, by the role that its command line names.
    public var memoryByRole: [(role: String, mebibytes: Double)] {
        ids.map { (role: Processes.role(of: $0), mebibytes: Processes.mebibytes(of: $0)) }
    }

    /// Waits until the processes have next to nothing left to do.
    ///
    /// - Parameter idle: What they take a second when nothing happens.
    public func settle(idle: Double, within patience: Duration = .seconds(120)) async throws(Fault) {
        let end = ContinuousClock.now + patience
        var before = cpuSeconds
        var quiet = 0
        while quiet < 2, ContinuousClock.now < end {
            do { try await Task.sleep(for: .milliseconds(200)) } catch { throw Fault(.cancelled, "The benchmark was cancelled.") }
            let now = cpuSeconds
            quiet = now - before <= idle * 0.2 * 2 + 0.004 ? quiet + 1 : 0
            before = now
        }
    }
}
