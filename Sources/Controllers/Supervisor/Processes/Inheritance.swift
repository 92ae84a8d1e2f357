//  The child's side of what the supervisor hands over: sockets under their names, and the pipe on
//  which it says that it is up. Descriptors go by number in the environment.

import Model

#if canImport(Glibc)
    import Glibc
#endif

/// What this process inherited from the supervisor.
public enum Inheritance {
    static let readyVariable = "KARRI_READY"

    static func socketVariable(_ name: String) -> String {
        "KARRI_SOCKET_" + name.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
    }

    /// The descriptor of an inherited socket, which from then on no child of this process inherits.
    ///
    /// - Throws: `Fault.notFound` if the supervisor passed no open socket of that name.
    public static func socket(_ name: String) throws(Fault) -> Int32 {
        guard let descriptor = descriptor(in: socketVariable(name)) else {
            throw Fault(.notFound, "the supervisor passed no socket named \(name)")
        }
        return descriptor
    }

    /// Tells the supervisor that this process is up. Without a supervisor, and when called again,
    /// it does nothing.
    public static func announceReady() {
        guard let descriptor = descriptor(in: readyVariable) else { return }
        _ = write(descriptor, "1", 1)
        close(descriptor)
        unsetenv(readyVariable)
    }

    private static func descriptor(in variable: String) -> Int32? {
        guard let text = getenv(variable), let descriptor = Int32(String(cString: text)), descriptor > 2 else { return nil }
        return fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 ? descriptor : nil
    }
}
