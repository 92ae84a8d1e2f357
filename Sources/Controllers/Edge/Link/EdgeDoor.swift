//  A Unix socket with a name, at which node waits for edge. Each process may then be restarted
//  without the other and without whoever supervises them: edge dials again, node tells all again.

import CLinux
import Glibc
import Logging
import Model
import Platform

extension EdgeLink {
    /// Listens at `path` and attaches each edge that dials, until the task is cancelled.
    ///
    /// - Parameters:
    ///   - path: At most 107 bytes. An old socket there is replaced; its folder must be private.
    ///   - userId: Edge's uid; the socket is given to it and others are turned away.
    /// - Throws: `Fault.driver` when the socket cannot be made.
    public nonisolated func listen(at path: String, userId: UInt32, log: Logger) async throws(Fault) {
        let listener = try UnixSocket.listen(at: path, userId: userId)
        defer {
            Glibc.close(listener)
            unlink(path)
        }
        while !Task.isCancelled {
            let socket = accept(listener, nil, nil)
            guard socket >= 0, fcntl(socket, F_SETFD, FD_CLOEXEC) == 0 else {
                // A dial is rare and not urgent: asking ten times a second costs less than a thread.
                try? await Task.sleep(for: .milliseconds(100))
                continue
            }
            guard karri_peer_uid(socket) == Int(userId) else {
                log.warning("somebody who is not edge dialled edge's socket")
                Glibc.close(socket)
                continue
            }
            do throws(Fault) { try await attach(socket: socket) } catch {
                log.warning("a fresh edge could not be told what to serve", metadata: ["fault": "\(error)"])
            }
        }
    }
}

/// Unix stream sockets by path.
enum UnixSocket {
    /// A non-blocking listener owned by `userId`, mode 0600.
    static func listen(at path: String, userId: UInt32) throws(Fault) -> CInt {
        unlink(path)
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { throw fault("open a socket for", path) }
        do throws(Fault) {
            let bound = try withAddress(path) { bind(descriptor, $0, $1) }
            guard bound == 0, chmod(path, 0o600) == 0, chown(path, userId, UInt32.max) == 0, Glibc.listen(descriptor, 4) == 0 else {
                throw fault("listen at", path)
            }
        } catch {
            close(descriptor)
            throw error
        }
        return descriptor
    }

    /// A blocking connection.
    static func dial(_ path: String) throws(Fault) -> CInt {
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw fault("open a socket for", path) }
        do throws(Fault) {
            guard try withAddress(path, { connect(descriptor, $0, $1) }) == 0 else { throw fault("dial", path) }
        } catch {
            close(descriptor)
            throw error
        }
        return descriptor
    }

    private static func withAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt) throws(Fault) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw Fault(.invalidParameter, "the path of a socket is too long: \(path)")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }

    private static func fault(_ verb: String, _ path: String) -> Fault {
        Fault(.driver, "could not \(verb) \(path)", cause: systemError())
    }
}
