//  The sockets that children inherit: listeners that outlive their holders' restarts, and
//  connections dialed for a child at its start.

import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// The listeners of one run, by path.
struct SocketStock {
    /// What one child inherits. Descriptors in `closing` are the supervisor's only until the spawn.
    struct Share {
        var entries: [(variable: String, descriptor: Int32)] = []
        var closing: [Int32] = []

        mutating func add(_ variable: String, _ descriptor: Int32, closesAfterwards: Bool) {
            entries.append((variable, descriptor))
            if closesAfterwards { closing.append(descriptor) }
        }
    }

    private var listeners: [String: Int32] = [:]

    /// Opens every listener that the specifications name.
    ///
    /// - Throws: `Fault.driver`; listeners opened so far are then closed.
    mutating func open(_ specifications: [ChildSpecification]) throws(Fault) {
        do throws(Fault) {
            for socket in specifications.flatMap(\.sockets) {
                guard case .listener(let path, let mode, let owner) = socket.origin, listeners[path] == nil else { continue }
                listeners[path] = try SocketStock.listen(path, mode: mode, owner: owner)
            }
        } catch {
            close()
            throw error
        }
    }

    /// Closes the listeners and removes their names.
    mutating func close() {
        for (path, descriptor) in listeners {
            Glibc.close(descriptor)
            unlink(path)
        }
        listeners = [:]
    }

    func inherited(by specification: ChildSpecification) throws(Fault) -> Share {
        var share = Share()
        do throws(Fault) {
            for socket in specification.sockets {
                let variable = Inheritance.socketVariable(socket.name)
                switch socket.origin {
                case .listener(let path, _, _):
                    guard let descriptor = listeners[path] else { throw Fault(.internalError, "\(path) is not open") }
                    share.add(variable, descriptor, closesAfterwards: false)
                case .connection(let path):
                    share.add(variable, try SocketStock.dial(path), closesAfterwards: true)
                }
            }
        } catch {
            for descriptor in share.closing { Glibc.close(descriptor) }
            throw error
        }
        return share
    }

    /// Whether something accepts connections at a path: the way to wait for a child's socket.
    static func answers(_ path: String) -> Bool {
        guard let socket = try? dial(path) else { return false }
        Glibc.close(socket)
        return true
    }

    private static func listen(_ path: String, mode: UInt32, owner: RunAs?) throws(Fault) -> Int32 {
        unlink(path)
        let socket = try unixSocket()
        var done = false
        defer { if !done { Glibc.close(socket) } }
        // Set before bind, so that the name never exists with wider rights.
        fchmod(socket, mode_t(mode))
        guard try withAddress(path, { bind(socket, $0, $1) }) == 0, chmod(path, mode_t(mode)) == 0 else {
            throw Fault(.driver, "could not bind \(path): \(systemError())")
        }
        if let owner, lchown(path, owner.user, owner.group) != 0 {
            throw Fault(.driver, "could not give \(path) its owner: \(systemError())")
        }
        guard Glibc.listen(socket, 128) == 0 else { throw Fault(.driver, "could not listen on \(path): \(systemError())") }
        done = true
        return socket
    }

    private static func dial(_ path: String) throws(Fault) -> Int32 {
        let socket = try unixSocket()
        guard try withAddress(path, { connect(socket, $0, $1) }) == 0 else {
            let fault = Fault(.unavailable, "could not dial \(path): \(systemError())")
            Glibc.close(socket)
            throw fault
        }
        return socket
    }

    private static func unixSocket() throws(Fault) -> Int32 {
        let socket = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { throw Fault(.driver, "no socket: \(systemError())") }
        return socket
    }

    /// - Throws: `Fault.invalidParameter` for a path that a Unix socket's address cannot hold.
    private static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws(Fault) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard !bytes.isEmpty, bytes.count < room, !bytes.contains(0) else {
            throw Fault(.invalidParameter, "a socket's path has 1 to \(room - 1) bytes: \(path)")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }
}
