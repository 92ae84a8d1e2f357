//  The load of `karri bench objects`: clients that keep a server busy with one kind of call.

import AWSProtocol
import Model
import Platform
import Synchronization

/// One kind of call to an object store.
enum ObjectCall: Sendable, Hashable {
    case put(bytes: Int), get(bytes: Int), head, delete, list

    var method: String {
        switch self {
        case .put: "PUT"
        case .get, .list: "GET"
        case .head: "HEAD"
        case .delete: "DELETE"
        }
    }

    var label: String {
        switch self {
        case .put(let bytes): "PUT \(ObjectCall.size(bytes))"
        case .get(let bytes): "GET \(ObjectCall.size(bytes))"
        case .head: "HEAD"
        case .delete: "DELETE"
        case .list: "LIST of 1,000"
        }
    }

    static func size(_ bytes: Int) -> String { bytes < 1 << 20 ? "\(bytes >> 10) KiB" : "\(bytes >> 20) MiB" }
}

/// A server that is loaded.
struct ObjectTarget: Sendable {
    var name: String
    var port: Int
    /// Nil: calls are not signed.
    var credentials: BenchCredentials?
    /// Whose CPU time counts.
    var processes: Processes
    /// Whether a PUT that was answered outlives a power cut.
    var isDurable: Bool
    /// Whether it only serves files for reading.
    var readsOnly = false

    static let region = "us-east-1"
}

/// Calls that several clients share out among themselves.
final class CallCounter: Sendable {
    private let next = Atomic(0)
    private let limit: Int
    private let end: ContinuousClock.Instant

    /// - Parameters:
    ///   - limit: How many calls there are.
    ///   - end: No call begins after it.
    init(limit: Int = .max, until end: ContinuousClock.Instant) {
        self.limit = limit
        self.end = end
    }

    /// The number of the next call; nil where there is none.
    func take() -> Int? {
        let number = next.add(1, ordering: .relaxed).oldValue
        return number < limit && ContinuousClock.now < end ? number : nil
    }
}

/// What a load came to.
struct LoadFigure: Sendable {
    var calls: Int
    var seconds: Double
    var cpuSeconds: Double

    var rate: Double { seconds > 0 ? Double(calls) / seconds : 0 }
    var cpuMicroseconds: Double { calls > 0 ? cpuSeconds * 1e6 / Double(calls) : 0 }
}

/// One client, on a connection and a thread of its own.
actor ObjectClient {
    private let target: ObjectTarget
    private let connection: KeptConnection
    private let body: [UInt8]
    private let executor = BlockingExecutor(name: "karri.bench.objects")

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// - Parameter body: What its PUTs send.
    init(_ target: ObjectTarget, body: [UInt8]) {
        self.target = target
        self.body = body
        connection = KeptConnection(address: "127.0.0.1", port: target.port)
    }

    /// Makes calls for as long as the counter has any.
    ///
    /// - Parameters:
    ///   - query: Of the call of a number.
    ///   - path: Of the same.
    /// - Returns: How many.
    func run(_ call: ObjectCall, _ counter: CallCounter, query: (Int) -> String, path: (Int) -> String) throws(Fault) -> Int {
        var done = 0
        while let number = counter.take() {
            try make(call, path(number), query(number))
            done += 1
        }
        return done
    }

    /// - Throws: `internalError` for an answer that is no success.
    func make(_ call: ObjectCall, _ path: String, _ query: String = "") throws(Fault) {
        let sent = call.method == "PUT" ? body : []
        let head = request(call.method, path, query, length: call.method == "PUT" ? sent.count : nil)
        var said: [UInt8] = []
        let status = try connection.exchange(head, sent, isHead: call == .head) { if said.isEmpty { said = Array($0.prefix(300)) } }
        guard (200..<300).contains(status) else {
            throw Fault(
                .internalError,
                "\(target.name) answered \(call.method) \(path) with \(status): \(String(decoding: said, as: UTF8.self))")
        }
    }

    private func request(_ method: String, _ path: String, _ query: String, length: Int?) -> [UInt8] {
        var headers = [(name: "host", value: "127.0.0.1:\(target.port)")]
        if let credentials = target.credentials {
            let payload = "UNSIGNED-PAYLOAD"
            headers.append((name: "x-amz-content-sha256", value: payload))
            headers += SignatureV4.signature(
                of: SignatureV4.Request(method: method, rawPath: path, rawQuery: query, headers: headers), bodyHash: payload,
                accessKey: credentials.accessKey, secret: credentials.secretKey, region: ObjectTarget.region, service: "s3",
                now: .ofSystemClock())
        }
        if let length { headers.append((name: "content-length", value: String(length))) }
        let lines = headers.map { "\($0.name): \($0.value)\r\n" }.joined()
        return Array("\(method) \(path)\(query.isEmpty ? "" : "?\(query)") HTTP/1.1\r\n\(lines)\r\n".utf8)
    }
}

/// Loads a target with several clients at once.
struct ObjectLoad: Sendable {
    let target: ObjectTarget
    let clients: Int

    func run(
        _ call: ObjectCall, body: [UInt8] = [], counter: CallCounter, query: @escaping @Sendable (Int) -> String = { _ in "" },
        path: @escaping @Sendable (Int) -> String
    ) async throws(Fault) -> LoadFigure {
        let all = (0..<clients).map { _ in ObjectClient(target, body: body) }
        let cpu = target.processes.cpuSeconds
        let began = ContinuousClock.now
        let results = await withTaskGroup(of: Result<Int, Fault>.self) { group in
            for client in all {
                group.addTask {
                    do throws(Fault) { return .success(try await client.run(call, counter, query: query, path: path)) } catch {
                        return .failure(error)
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        let took = seconds(ContinuousClock.now - began)
        var calls = 0
        for result in results { calls += try result.get() }
        return LoadFigure(calls: calls, seconds: took, cpuSeconds: target.processes.cpuSeconds - cpu)
    }
}
