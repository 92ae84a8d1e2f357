//  Opens edge's sockets inside a domain's network namespace. A thread of its own enters the
//  namespace and ends there: no thread of a pool is ever left in the wrong one.

import CLinux
import Glibc
import Model
import Platform

/// Sockets opened in one namespace, closed with this object. A socket keeps its namespace alive, so
/// whoever removes a domain lets this go.
final class NamespaceSockets: Sendable {
    /// The namespace file's device and inode: another pair means another namespace of the same name.
    struct Identity: Sendable, Hashable {
        var device: UInt64
        var inode: UInt64

        init?(path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
        }
    }

    let identity: Identity
    let descriptors: [EdgeSocket: CInt]

    /// Opens `sockets` in the namespace at `path`; all or none.
    ///
    /// - Throws: `Fault.driver` with the system's reason.
    init(opening sockets: Set<EdgeSocket>, inNamespaceAt path: String) throws(Fault) {
        guard let identity = Identity(path: path) else { throw Fault(.notFound, "there is no network namespace \(path)") }
        self.identity = identity
        switch NamespaceThread.open(sockets, inNamespaceAt: path) {
        case .success(let opened): descriptors = opened
        case .failure(let fault): throw fault
        }
    }

    deinit { for descriptor in descriptors.values { close(descriptor) } }
}

/// Opens sockets on a fresh thread inside a network namespace.
private enum NamespaceThread {
    typealias Outcome = Result<[EdgeSocket: CInt], Fault>

    private final class Work {
        let path: String
        let sockets: Set<EdgeSocket>
        var outcome: Outcome = .failure(Fault(.driver, "the thread for a namespace did not run"))

        init(path: String, sockets: Set<EdgeSocket>) {
            self.path = path
            self.sockets = sockets
        }

        func perform() -> Outcome {
            let namespace = Glibc.open(path, O_RDONLY | O_CLOEXEC)
            guard namespace >= 0 else { return .failure(systemFault("open \(path)")) }
            defer { close(namespace) }
            guard karri_enter_network_namespace(namespace) == 0 else { return .failure(systemFault("enter \(path)")) }
            return openAll(sockets)
        }
    }

    static func open(_ sockets: Set<EdgeSocket>, inNamespaceAt path: String) -> Outcome {
        let work = Work(path: path, sockets: sockets)
        let argument = Unmanaged.passRetained(work)
        defer { argument.release() }
        var thread = pthread_t()
        let started = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let work = Unmanaged<Work>.fromOpaque(argument).takeUnretainedValue()
                work.outcome = work.perform()
                return nil
            }, argument.toOpaque())
        guard started == 0 else {
            return .failure(Fault(.driver, "could not start a thread", cause: systemError(started)))
        }
        pthread_join(thread, nil)
        return work.outcome
    }
}

private func openAll(_ sockets: Set<EdgeSocket>) -> Result<[EdgeSocket: CInt], Fault> {
    var opened: [EdgeSocket: CInt] = [:]
    for socket in sockets {
        switch openOne(socket) {
        case .success(let descriptor): opened[socket] = descriptor
        case .failure(let fault):
            for descriptor in opened.values { close(descriptor) }
            return .failure(fault)
        }
    }
    return .success(opened)
}

private func openOne(_ wanted: EdgeSocket) -> Result<CInt, Fault> {
    let stream = wanted.service.isStream
    let type = CInt((stream ? SOCK_STREAM : SOCK_DGRAM).rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let descriptor = socket(AF_INET, type, 0)
    let what = "\(wanted.service.rawValue) on \(wanted.address):\(wanted.service.port)"
    guard descriptor >= 0 else { return .failure(systemFault("open a socket for \(what)")) }
    // A new node opens its sockets while edge still serves those of the last one: both bind, and the
    // old ones go when edge has taken the new.
    var options: [(CInt, CInt)] = [(SOL_SOCKET, SO_REUSEADDR), (SOL_SOCKET, SO_REUSEPORT), (CInt(IPPROTO_IP), IP_FREEBIND)]
    if wanted.service == .dhcp { options += [(SOL_SOCKET, SO_BROADCAST), (CInt(IPPROTO_IP), IP_PKTINFO)] }
    for (level, name) in options {
        var on: CInt = 1
        guard setsockopt(descriptor, level, name, &on, socklen_t(MemoryLayout<CInt>.size)) == 0 else {
            return closing(descriptor, systemFault("prepare a socket for \(what)"))
        }
    }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = wanted.service.port.bigEndian
    address.sin_addr.s_addr = wanted.address.bits.bigEndian
    let bound = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
    guard bound == 0 else { return closing(descriptor, systemFault("bind \(what)")) }
    guard !stream || listen(descriptor, 128) == 0 else { return closing(descriptor, systemFault("listen for \(what)")) }
    return .success(descriptor)
}

private func closing(_ descriptor: CInt, _ fault: Fault) -> Result<CInt, Fault> {
    close(descriptor)
    return .failure(fault)
}

private func systemFault(_ what: String) -> Fault {
    Fault(.driver, "could not \(what)", cause: systemError())
}

extension EdgeSocket.Service {
    var isStream: Bool { self == .nameStream || self == .metadata }

    var port: UInt16 {
        switch self {
        case .dhcp: 67
        case .nameDatagram, .nameStream: 53
        case .metadata: 80
        }
    }
}
