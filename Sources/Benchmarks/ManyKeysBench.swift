//  `karri bench keys`: what calls cost in a bucket of very many keys, beside the same calls in one of few, in
//  one store and one run.

import Crypto
import FoundationEssentials
import Model
import NIOCore
import ObjectStorage
import Platform

/// The benchmark of a bucket that has grown.
public struct ManyKeysBench: Sendable {
    public struct Settings: Sendable {
        public var few = 10_000
        public var many = 10_000_000
        public var seconds = 10.0
        public var clients = 8
        public init() {}
    }

    /// Starts the store that is measured.
    let program: String
    let root: String
    let port: Int
    let settings: Settings
    let say: @Sendable (String) -> Void

    public init(program: String, root: String, port: Int, settings: Settings, say: @escaping @Sendable (String) -> Void) {
        self.program = program
        self.root = root
        self.port = port
        self.settings = settings
        self.say = say
    }

    private static let mostOfFew = 1.3
    private static let bodyBytes = 64
    /// How many keys are made at once.
    private static let makers = 64

    public func run() async throws(Fault) {
        let folder = try ScratchFolder(root)
        defer { folder.remove() }
        say(Measured.machine(accelerator: "none"))
        try await measure()
    }

    private func measure() async throws(Fault) {
        let buckets = [("few", settings.few), ("many", settings.many)]
        var store = try await LoneStore.start(program, root: root, port: port)
        for (name, _) in buckets { try await ObjectClient(store.target, body: []).make(.put(bytes: 0), "/\(name)") }
        store.process.end()
        for (name, count) in buckets { try await fill(name, count) }
        store = try await LoneStore.start(program, root: root, port: port)
        defer { store.process.end() }
        // Caches are filled before anything counts: what is asked is the cost of calls that go on.
        for (name, count) in buckets { _ = try await load(store.target, .head, name, count) }
        for call in [ObjectCall.head, .get(bytes: Self.bodyBytes), .put(bytes: Self.bodyBytes), .list, .delete] {
            let few = try await load(store.target, call, "few", settings.few)
            let many = try await load(store.target, call, "many", settings.many)
            let ratio = many.cpuMicroseconds / max(few.cpuMicroseconds, 1e-9)
            say(
                "\(call == .list ? "LIST of 100 from somewhere" : call.method): \(settings.few) keys \(figure(few)); \(settings.many) keys \(figure(many))"
                    + " (cost \(decimal(ratio, 2)) x, rate \(decimal(many.rate / max(few.rate, 1e-9), 2)) x)"
                    + " [\(Aim(Self.mostOfFew, "x").verdict(ratio))]")
        }
    }

    private func figure(_ figure: LoadFigure) -> String {
        "\(decimal(figure.rate, 0))/s \(decimal(figure.cpuMicroseconds, 0)) us"
    }

    // MARK: Its keys

    /// Puts keys into a bucket by the backend's own code, while nothing else runs, in order, which is quick.
    private func fill(_ bucket: String, _ count: Int) async throws(Fault) {
        say("makes \(count) keys")
        let backend = try await LocalBackend.open(Installation(root: root).objects, chance: .system)
        do throws(Fault) {
            guard let bucket = try await backend.bucket(named: bucket) else { throw Fault(.notFound, "there is no bucket") }
            let order = (0..<count).map(ManyKeysBench.name).sorted()
            let counter = CallCounter(limit: count, until: .now + .seconds(86_400))
            let outcomes = await withTaskGroup(of: Result<Void, Fault>.self) { group in
                for _ in 0..<ManyKeysBench.makers {
                    group.addTask {
                        do throws(Fault) {
                            while let place = counter.take() { try await ManyKeysBench.put(order[place], backend, bucket) }
                            return .success(())
                        } catch { return .failure(error) }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            for outcome in outcomes { try outcome.get() }
        } catch {
            await backend.close()
            throw error
        }
        await backend.close()
    }

    private static let body = [UInt8](repeating: 0x61, count: bodyBytes)
    private static let entityTag = hexDigits(Array(Insecure.MD5.hash(data: body)))

    private static func put(_ name: UInt64, _ backend: LocalBackend, _ bucket: Bucket) async throws(Fault) {
        let sink = try await backend.stage(size: Int64(bodyBytes), in: bucket)
        try await sink.append(ByteBuffer(bytes: body))
        let version = ObjectVersion(
            id: .null, size: Int64(bodyBytes), entityTag: entityTag, modified: .ofSystemClock(), detail: ObjectDetail(),
            body: try await sink.finish())
        try await backend.change(ObjectKey(hexDigits(name)), in: bucket) { change throws(Fault) in try change.put(version) }
    }

    /// The name of the key of a number: as good as random.
    private static func name(_ number: Int) -> UInt64 {
        var dice = Dice(seed: UInt64(number))
        return dice.next()
    }

    private func load(_ target: ObjectTarget, _ call: ObjectCall, _ bucket: String, _ count: Int) async throws(Fault) -> LoadFigure
    {
        // A key that is gone is no fault, but costs less.
        let limit = call == .delete ? min(count, 5000) : .max
        let counter = CallCounter(limit: limit, until: .now + .milliseconds(Int64(settings.seconds * 1000)))
        let key: @Sendable (Int) -> String = { number in
            var dice = Dice(seed: ~UInt64(number))
            return hexDigits(ManyKeysBench.name(Int(dice.next() % UInt64(count))))
        }
        return try await ObjectLoad(target: target, clients: settings.clients).run(
            call, body: ManyKeysBench.body, counter: counter,
            query: { call == .list ? "list-type=2&max-keys=100&start-after=\(key($0))" : "" },
            path: { call == .list ? "/\(bucket)" : "/\(bucket)/\(key($0))" })
    }
}
