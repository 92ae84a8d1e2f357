//  One connection of a benchmark's client, which is kept. Its calls follow each other and block the thread
//  that they are made on.

import Model

#if canImport(Glibc)
    import Glibc
#endif

/// A connection that speaks HTTP/1.1; used by one thread at a time.
final class KeptConnection {
    private let address: String
    private let port: UInt16
    private var descriptor: Int32 = -1
    private var buffer = [UInt8](repeating: 0, count: 256 << 10)
    /// What of the buffer has been received and not been used.
    private var received = 0..<0

    init(address: String, port: Int) {
        self.address = address
        self.port = UInt16(clamping: port)
    }

    deinit { hangUp() }

    /// Sends a request and takes the whole answer.
    ///
    /// - Parameters:
    ///   - isHead: Whether the answer has no body whatever its header says.
    ///   - take: Given the answer's body in pieces.
    /// - Throws: `unavailable` where nobody answers or the connection breaks; the next call dials anew.
    func exchange(
        _ head: [UInt8], _ body: [UInt8] = [], isHead: Bool = false, take: (ArraySlice<UInt8>) -> Void = { _ in }
    ) throws(Fault) -> Int {
        do throws(Fault) {
            if descriptor < 0 { try dial() }
            if body.count <= KeptConnection.joinedBytesMax {
                try send(head + body)
            } else {
                try send(head)
                try send(body)
            }
            let (status, fields) = try receiveHead()
            if isHead || status == 204 || status == 304 {
            } else if let length = fields["content-length"].flatMap({ Int($0) }) {
                try receive(length, take)
            } else if fields["transfer-encoding"]?.lowercased() == "chunked" {
                try receiveChunks(take)
            } else {
                throw Fault(.unavailable, "the answer is not HTTP with a length")
            }
            if fields["connection"]?.lowercased() == "close" { hangUp() }
            return status
        } catch {
            hangUp()
            throw error
        }
    }

    /// Smaller bodies go into one packet with their heads.
    private static let joinedBytesMax = 16 << 10

    private func dial() throws(Fault) {
        let opened = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard opened >= 0 else { throw Fault(.unavailable, "no socket can be had") }
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_port = port.bigEndian
        inet_pton(AF_INET, address, &place.sin_addr)
        var yes: Int32 = 1
        setsockopt(opened, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, socklen_t(MemoryLayout<Int32>.size))
        let result = withUnsafePointer(to: &place) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(opened, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard result == 0 else {
            close(opened)
            throw Fault(.unavailable, "\(address):\(port) does not answer")
        }
        descriptor = opened
        received = 0..<0
    }

    private func hangUp() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    private func send(_ bytes: [UInt8]) throws(Fault) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress.map { $0 + sent }, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Fault(.unavailable, "the connection broke while a call was sent") }
            sent += count
        }
    }

    /// Receives more into the buffer, whose front is made free.
    private func more() throws(Fault) {
        if received.isEmpty {
            received = 0..<0
        } else if received.upperBound == buffer.count {
            guard received.lowerBound > 0 else { throw Fault(.unavailable, "the answer has a line that is too long") }
            buffer.replaceSubrange(0..<received.count, with: buffer[received])
            received = 0..<received.count
        }
        let end = received.upperBound
        let count = buffer.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress.map { $0 + end }, $0.count - end, 0) }
        guard count > 0 else { throw Fault(.unavailable, "the connection broke while an answer was read") }
        received = received.lowerBound..<end + count
    }

    /// The next line without its end.
    private func line() throws(Fault) -> String {
        while true {
            if let end = buffer[received].firstIndex(of: 0x0a) {
                defer { received = end + 1..<received.upperBound }
                return String(decoding: buffer[received.lowerBound..<end].filter { $0 != 0x0d }, as: UTF8.self)
            }
            try more()
        }
    }

    private func receiveHead() throws(Fault) -> (status: Int, fields: [String: String]) {
        let words = try line().split(separator: " ")
        guard words.count >= 2, let status = Int(words[1]) else { throw Fault(.unavailable, "the answer is not HTTP") }
        var fields: [String: String] = [:]
        while true {
            let text = try line()
            if text.isEmpty { break }
            let halves = text.split(separator: ":", maxSplits: 1)
            if halves.count == 2 { fields[halves[0].lowercased()] = String(halves[1].drop { $0 == " " }) }
        }
        return status == 100 ? try receiveHead() : (status, fields)
    }

    private func receive(_ length: Int, _ take: (ArraySlice<UInt8>) -> Void) throws(Fault) {
        var left = length
        while left > 0 {
            if received.isEmpty { try more() }
            let part = received.prefix(left)
            take(buffer[part])
            left -= part.count
            received = part.upperBound..<received.upperBound
        }
    }

    private func receiveChunks(_ take: (ArraySlice<UInt8>) -> Void) throws(Fault) {
        while true {
            guard let length = Int(try line().prefix { $0 != ";" }, radix: 16) else {
                throw Fault(.unavailable, "the answer's chunks are malformed")
            }
            try receive(length, take)
            let end = try line()
            if length == 0, end.isEmpty { return }
        }
    }
}
