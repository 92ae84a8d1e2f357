//  A process named so that a later one with the same number is not taken for it: number, moment of
//  its start, and boot. What the status and lock files hold.

import CLinux
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// One process of one boot of this machine.
public struct ProcessIdentity: Sendable, Hashable, Codable {
    public let pid: Int32
    /// Field 22 of /proc/PID/stat: clock ticks since the boot.
    public let startTicks: UInt64
    /// The kernel's random id of the boot.
    public let boot: String

    /// The process that has this number now, unless it has ended (a zombie has).
    public init?(pid: Int32) {
        guard let fields = ProcessIdentity.statistics(of: pid), fields.state != "Z", fields.state != "X" else { return nil }
        self.pid = pid
        startTicks = fields.startTicks
        boot = ProcessIdentity.currentBoot
    }

    /// This process, or nil if /proc does not tell.
    public static let own = ProcessIdentity(pid: getpid())

    public var isAlive: Bool { ProcessIdentity(pid: pid) == self }

    /// Sends a signal to this process and to no other.
    ///
    /// - Returns: False if it has ended.
    @discardableResult
    public func signal(_ number: Int32) throws(Fault) -> Bool {
        let descriptor = karri_process_descriptor(pid)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        // The descriptor holds on to whoever has the number now; only then is it compared.
        guard isAlive else { return false }
        if karri_process_signal(descriptor, number) == 0 { return true }
        if errno == ESRCH { return false }
        throw Fault(.denied, "process \(pid) could not be signalled: \(systemError())")
    }

    /// Asks it to end, waits, and kills it when it does not. Blocks for at most `patience` and ten
    /// seconds more: on a host with too much to do even a killed process takes its time.
    ///
    /// - Throws: `Fault.timedOut` if it lives even then.
    public func end(within patience: Duration) throws(Fault) {
        guard try signal(SIGTERM) else { return }
        if waitUntilGone(patience) { return }
        guard try signal(SIGKILL) else { return }
        guard waitUntilGone(.seconds(10)) else { throw Fault(.timedOut, "process \(pid) does not end") }
    }

    private func waitUntilGone(_ limit: Duration) -> Bool {
        let end = ContinuousClock.now + limit
        while isAlive {
            if ContinuousClock.now >= end { return false }
            usleep(10_000)
        }
        return true
    }

    /// The state letter, session and start of a process, from /proc/PID/stat (proc(5)). The name in
    /// parentheses may itself hold spaces and parentheses.
    static func statistics(of pid: Int32) -> (state: String, session: Int32, startTicks: UInt64)? {
        guard let text = readText("/proc/\(pid)/stat") else { return nil }
        return statistics(parsing: text)
    }

    static func statistics(parsing text: String) -> (state: String, session: Int32, startTicks: UInt64)? {
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, let session = Int32(fields[3]), let ticks = UInt64(fields[19]) else { return nil }
        return (String(fields[0]), session, ticks)
    }

    private static let currentBoot =
        readText("/proc/sys/kernel/random/boot_id")?.split(separator: "\n").first.map(String.init) ?? ""
}

/// The whole of a small text file of the kernel's or the system's, or nil if it cannot be read.
func readText(_ path: String) -> String? {
    // A file that cannot be read and one that is not there are one to those who ask: no fact.
    guard let bytes = try? AtomicFile.read(path, limit: 32 << 20) else { return nil }
    return String(decoding: bytes, as: UTF8.self)
}
