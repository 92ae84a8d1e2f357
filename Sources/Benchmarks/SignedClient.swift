//  A small client of the AWS face: signed calls over one kept connection. It blocks a thread of its
//  own, so that what it costs is not the measured processes' and does not hold up other tasks.

import AWSProtocol
import Crypto
import FoundationEssentials
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// Who calls.
public struct BenchCredentials: Sendable, Hashable, Codable {
    public var name: String
    public var account: String
    public var accessKey: String
    public var secretKey: String
}

/// An answer, and how long it took.
public struct Answer: Sendable {
    public var body: [UInt8]
    public var seconds: Double

    /// The contents of all elements with this name, as they stand.
    public func values(_ element: String) -> [String] {
        let text = String(decoding: body, as: UTF8.self)
        return text.split(separator: "<\(element)>", omittingEmptySubsequences: false).dropFirst().compactMap { rest in
            rest.split(separator: "<", maxSplits: 1, omittingEmptySubsequences: false).first.map(String.init)
        }
    }
}

/// One connection that is kept. Calls on it follow each other.
public actor SignedClient {
    private let address: String
    private let port: UInt16
    private let region: String
    private let executor = BlockingExecutor(name: "karri.bench.client")
    private var descriptor: Int32 = -1
    private var received: [UInt8] = []

    static let answerBytesMax = 256 << 20

    public init(address: String, port: Int, region: String) {
        self.address = address
        self.port = UInt16(clamping: port)
        self.region = region
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    nonisolated public var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Calls an action of EC2.
    ///
    /// - Throws: `.unavailable` where nobody answers, `.internalError` with the answer's text for any
    ///   status but 200.
    public func call(_ action: String, _ parameters: [(String, String)] = [], as caller: BenchCredentials) throws(Fault) -> Answer {
        let request = message(action, parameters, caller)
        let began = ContinuousClock.now
        if descriptor < 0 { try dial() }
        do throws(Fault) {
            try send(request)
            let (status, body) = try receive()
            let took = seconds(ContinuousClock.now - began)
            guard status == 200 else {
                throw Fault(.internalError, "\(action) answered \(status): \(String(decoding: body.prefix(1000), as: UTF8.self))")
            }
            return Answer(body: body, seconds: took)
        } catch {
            if error.code == .unavailable { hangUp() }
            throw error
        }
    }

    private func message(_ action: String, _ parameters: [(String, String)], _ caller: BenchCredentials) -> [UInt8] {
        let all = [("Action", action), ("Version", "2016-11-15")] + parameters
        let body = Array(all.map { "\(SignedClient.encoded($0.0))=\(SignedClient.encoded($0.1))" }.joined(separator: "&").utf8)
        let host = "\(address):\(port)"
        let type = "application/x-www-form-urlencoded; charset=utf-8"
        let hash = hexDigits(SHA256.hash(data: body))
        let headers = [(name: "host", value: host), (name: "content-type", value: type)]
        let signature = SignatureV4.signature(
            of: SignatureV4.Request(method: "POST", rawPath: "/", headers: headers, body: .hashed(hash)), bodyHash: hash,
            accessKey: caller.accessKey, secret: caller.secretKey, region: region, service: "ec2", now: .ofSystemClock())
        let lines = (headers + signature).map { "\($0.name): \($0.value)\r\n" }.joined()
        return Array("POST / HTTP/1.1\r\n\(lines)content-length: \(body.count)\r\n\r\n".utf8) + body
    }

    private static func encoded(_ text: String) -> String {
        text.utf8.map { byte in
            let character = Character(UnicodeScalar(byte))
            return byte < 0x80 && (character.isLetter || character.isNumber || "-._~".contains(character))
                ? String(character) : "%" + hexDigits([byte]).uppercased()
        }.joined()
    }

    // MARK: The connection

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
        received = []
    }

    private func hangUp() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    private func send(_ bytes: [UInt8]) throws(Fault) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw Fault(.unavailable, "the connection broke while a call was sent") }
            rest = rest.dropFirst(count)
        }
    }

    private func more() throws(Fault) {
        var chunk = [UInt8](repeating: 0, count: 256 << 10)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0, received.count + count <= SignedClient.answerBytesMax else {
            throw Fault(.unavailable, "the connection broke while an answer was read")
        }
        received += chunk[..<count]
    }

    private func receive() throws(Fault) -> (status: Int, body: [UInt8]) {
        received = []
        var head: Range<Int>?
        while head == nil {
            try more()
            head = received.firstRange(of: Array("\r\n\r\n".utf8))
        }
        let lines = String(decoding: received[..<(head?.lowerBound ?? 0)], as: UTF8.self).split(separator: "\r\n")
        let length = lines.first { $0.lowercased().hasPrefix("content-length:") }?.split(separator: " ").last.flatMap { Int($0) }
        guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }), let length, length >= 0,
            let start = head?.upperBound
        else { throw Fault(.unavailable, "the answer is not HTTP with a length") }
        received.reserveCapacity(start + length)
        while received.count < start + length { try more() }
        return (status, Array(received[start..<(start + length)]))
    }
}
