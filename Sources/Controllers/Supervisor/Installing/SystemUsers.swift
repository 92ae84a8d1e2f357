//  The users that the cloud's processes run as. Guests have numbers only: their users exist nowhere
//  but in the kernel.

import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// The two system users of an installation.
public struct SystemUsers: Sendable, Hashable {
    /// Runs *control* and owns the store.
    public var control: RunAs
    /// Runs *edge* and owns nothing.
    public var edge: RunAs

    /// The names of the two users: the installation's mark, and with `-edge`.
    public static func names(_ installation: Installation) -> (control: String, edge: String) {
        (installation.mark, "\(installation.mark)-edge")
    }

    /// What the user database says in the comment field; uninstall removes no user without it.
    static func comment(_ installation: Installation) -> String { "Karri (\(installation.mark))" }

    /// Makes the users that are missing.
    ///
    /// - Throws: `Fault.inUse` if a user of that name exists and is not Karri's.
    public static func prepare(_ installation: Installation) async throws(Fault) -> SystemUsers {
        let names = names(installation)
        return SystemUsers(
            control: try await prepare(names.control, installation), edge: try await prepare(names.edge, installation))
    }

    private static func prepare(_ name: String, _ installation: Installation) async throws(Fault) -> RunAs {
        if CallingUser(named: name) == nil {
            try await Command.run(
                "useradd",
                [
                    "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin",
                    "--comment", comment(installation), name,
                ])
        }
        guard let user = CallingUser(named: name), isOurs(name, installation) else {
            throw Fault(.inUse, "there is a user named \(name) that Karri did not make; remove or rename it")
        }
        return RunAs(user: user.user, group: user.group)
    }

    /// Removes the users that carry the mark.
    public static func remove(_ installation: Installation) async throws(Fault) {
        let names = names(installation)
        for name in [names.edge, names.control] {
            guard let user = CallingUser(named: name), isOurs(name, installation) else { continue }
            await endProcesses(of: user.user)
            try await Command.run("userdel", [name])
        }
    }

    /// Ends what a user still runs: the helper that writes a crashed process's backtrace outlives a
    /// supervisor that was killed meanwhile, and `userdel` removes no user of a process.
    private static func endProcesses(of user: UInt32) async {
        for _ in 0..<100 {
            let left = processes(of: user)
            guard !left.isEmpty else { return }
            for process in left { kill(process, SIGKILL) }
            do { try await Task.sleep(for: .milliseconds(50)) } catch { return }
        }
    }

    /// By the real user id in /proc/PID/status (proc(5)).
    private static func processes(of user: UInt32) -> [Int32] {
        Folder.readableNames(in: "/proc").compactMap { Int32($0) }.filter { process in
            let line = readText("/proc/\(process)/status")?.split(separator: "\n").first { $0.hasPrefix("Uid:") }
            return line?.split(separator: "\t").dropFirst().first.flatMap { UInt32($0) } == user
        }
    }

    private static func isOurs(_ name: String, _ installation: Installation) -> Bool {
        CallingUser.comment(of: name) == comment(installation)
    }
}
