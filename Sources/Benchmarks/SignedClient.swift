//  A small client of the AWS face: signed calls over one kept connection. It blocks a thread of its
//  own, so that what it costs is not the measured processes' and does not hold up other tasks.

import AWSProtocol
import Crypto
import FoundationEssentials
import Model
import Platform

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
    private let host: String
    private let connection: KeptConnection
    private let region: String
    private let executor = BlockingExecutor(name: "karri.bench.client")
    public init(address: String, port: Int, region: String) {
        host = "\(address):\(port)"
        connection = KeptConnection(address: address, port: port)
        self.region = region
    }

    nonisolated public var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Calls an action of EC2.
    ///
    /// - Throws: `.unavailable` where nobody answers, `.internalError` with the answer's text for any
    ///   status but 200.
    public func call(_ action: String, _ parameters: [(String, String)] = [], as caller: BenchCredentials) throws(Fault) -> Answer {
        let (head, body) = message(action, parameters, caller)
        let began = ContinuousClock.now
        var answer: [UInt8] = []
        let status = try connection.exchange(head, body) { answer += $0 }
        guard status == 200 else {
            throw Fault(.internalError, "\(action) answered \(status): \(String(decoding: answer.prefix(1000), as: UTF8.self))")
        }
        return Answer(body: answer, seconds: seconds(ContinuousClock.now - began))
    }

    private func message(
        _ action: String, _ parameters: [(String, String)], _ caller: BenchCredentials
    ) -> (head: [UInt8], body: [UInt8]) {
        let all = [("Action", action), ("Version", "2016-11-15")] + parameters
        let body = Array(all.map { "\(SignedClient.encoded($0.0))=\(SignedClient.encoded($0.1))" }.joined(separator: "&").utf8)
        let type = "application/x-www-form-urlencoded; charset=utf-8"
        let hash = hexDigits(SHA256.hash(data: body))
        let headers = [(name: "host", value: host), (name: "content-type", value: type)]
        let signature = SignatureV4.signature(
            of: SignatureV4.Request(method: "POST", rawPath: "/", headers: headers, body: .hashed(hash)), bodyHash: hash,
            accessKey: caller.accessKey, secret: caller.secretKey, region: region, service: "ec2", now: .ofSystemClock())
        let lines = (headers + signature).map { "\($0.name): \($0.value)\r\n" }.joined()
        return (Array("POST / HTTP/1.1\r\n\(lines)content-length: \(body.count)\r\n\r\n".utf8), body)
    }

    private static func encoded(_ text: String) -> String {
        text.utf8.map { byte in
            let character = Character(UnicodeScalar(byte))
            return byte < 0x80 && (character.isLetter || character.isNumber || "-._~".contains(character))
                ? String(character) : "%" + hexDigits([byte]).uppercased()
        }.joined()
    }
}
