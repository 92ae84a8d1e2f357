//  Waits for the first bytes of an ssh server (RFC 4253, 4.2). New connections are tried side by
//  side, so that a SYN which fell on a guest that was not there yet costs no second.

import Model

#if canImport(Glibc)
    import Glibc
#endif

/// The wait for a guest's ssh.
enum SSHBanner {
    /// How often a new connection is tried: a small guest that is asked more often has no time to answer.
    static let paceMilliseconds: Int32 = 50
    /// How many connections are tried side by side: those of the last ten seconds. A guest of a busy
    /// host takes a second or more from the connection to the banner.
    static let triedMax = 200

    /// Blocks until the address answers.
    ///
    /// - Throws: `.timedOut`.
    static func wait(address: String, port: UInt16, within patience: Duration) throws(Fault) {
        var tried: [Int32] = []
        defer { for descriptor in tried { close(descriptor) } }
        let end = ContinuousClock.now + patience
        var next = ContinuousClock.now
        while ContinuousClock.now < end {
            if ContinuousClock.now >= next {
                if let descriptor = dial(address, port) { tried.append(descriptor) }
                next = .now + .milliseconds(Int64(paceMilliseconds))
            }
            if tried.count > triedMax { close(tried.removeFirst()) }
            var watched = tried.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard !watched.isEmpty else {
                poll(nil, 0, paceMilliseconds)
                continue
            }
            poll(&watched, nfds_t(watched.count), paceMilliseconds)
            for entry in watched where entry.revents != 0 {
                if isBanner(entry.fd) { return }
                close(entry.fd)
                tried.removeAll { $0 == entry.fd }
            }
        }
        throw Fault(.timedOut, "no ssh server answered at \(address):\(port) within \(patience)")
    }

    private static func isBanner(_ descriptor: Int32) -> Bool {
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        return count >= 4 && Array(bytes.prefix(4)) == Array("SSH-".utf8)
    }

    private static func dial(_ address: String, _ port: UInt16) -> Int32? {
        let opened = socket(
            AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0)
        guard opened >= 0 else { return nil }
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_port = port.bigEndian
        inet_pton(AF_INET, address, &place.sin_addr)
        let result = withUnsafePointer(to: &place) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(opened, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard result == 0 || errno == EINPROGRESS else {
            close(opened)
            return nil
        }
        return opened
    }
}
