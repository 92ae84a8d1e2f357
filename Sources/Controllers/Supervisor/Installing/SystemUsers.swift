//  The users that the cloud's processes run as. Guests have numbers only: their users exist nowhere
//  but in the kernel.

import Model
import Platform

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
        for name in [names.edge, names.control] where CallingUser(named: name) != nil && isOurs(name, installation) {
            try await Command.run("userdel", [name])
        }
    }

    private static func isOurs(_ name: String, _ installation: Installation) -> Bool {
        CallingUser.comment(of: name) == comment(installation)
    }
}
