//  The person who typed the command: behind sudo it is not root, and what is written into their
//  home must be theirs and must be reached with their rights.

import CLinux
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// A user of the host with a home.
public struct CallingUser: Sendable, Hashable {
    public var name: String
    public var user: UInt32
    public var group: UInt32
    public var home: String

    public init(name: String, user: UInt32, group: UInt32, home: String) {
        self.name = name
        self.user = user
        self.group = group
        self.home = home
    }

    /// Who called: SUDO_USER where root was reached by sudo, else this process's user.
    ///
    /// - Throws: `Fault.notFound` if the user database does not know that user.
    public static func current(_ environment: [String: String]) throws(Fault) -> CallingUser {
        if getuid() == 0, let name = environment["SUDO_USER"], !name.isEmpty {
            guard let user = CallingUser(named: name) else { throw Fault(.notFound, "there is no user named \(name)") }
            return user
        }
        guard let user = lookUp({ getpwuid_r(getuid(), $0, $1, $2, $3) }, CallingUser.init(entry:)) else {
            throw Fault(.notFound, "user \(getuid()) has no entry in the user database")
        }
        return user
    }

    public init?(named name: String) {
        guard let user = CallingUser.lookUp({ getpwnam_r(name, $0, $1, $2, $3) }, CallingUser.init(entry:)) else { return nil }
        self = user
    }

    /// The comment field of a user's entry, or nil if there is no such user.
    static func comment(of name: String) -> String? {
        lookUp({ getpwnam_r(name, $0, $1, $2, $3) }, { $0.pw_gecos.map { String(cString: $0) } })
    }

    private init?(entry: passwd) {
        guard let name = entry.pw_name, let home = entry.pw_dir else { return nil }
        self.init(name: String(cString: name), user: entry.pw_uid, group: entry.pw_gid, home: String(cString: home))
    }

    /// - Parameter read: Called while the entry's strings are there.
    private static func lookUp<Value>(
        _ call: (
            UnsafeMutablePointer<passwd>, UnsafeMutablePointer<CChar>, Int, UnsafeMutablePointer<UnsafeMutablePointer<passwd>?>
        )
            -> Int32,
        _ read: (passwd) -> Value?
    ) -> Value? {
        var entry = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 1 << 16)
        return buffer.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress, call(&entry, base, buffer.count, &found) == 0, found != nil else { return nil }
            return read(entry)
        }
    }

    /// Runs `body` with this user's rights to files, if this process is root, so that a link that
    /// the user planted in the home leads root nowhere. The rights are the thread's: `body` must
    /// not suspend, which its type sees to.
    func reachingFiles<Value>(_ body: () throws(Fault) -> Value) throws(Fault) -> Value {
        guard geteuid() == 0, user != 0 else { return try body() }
        guard karri_reach_files_as(user, group) == 0 else {
            throw Fault(.denied, "could not take the rights of \(name): \(systemError())")
        }
        let result: Result<Value, Fault>
        do throws(Fault) { result = .success(try body()) } catch { result = .failure(error) }
        // A thread that stayed the user would serve root's work with the wrong rights: whoever called
        // has to end here.
        guard karri_reach_files_as(0, 0) == 0 else {
            throw Fault(.internalError, "the rights of root could not be taken back after reaching the files of \(name)")
        }
        return try result.get()
    }
}
