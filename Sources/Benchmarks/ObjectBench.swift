//  `karri bench objects`: the object store's calls beside those of its peers, in calls a second and in the
//  server's CPU time, in one run; and beside a plain file that is written and synced.

import FoundationEssentials
import Model
import Platform

/// The benchmark of the object store.
public struct ObjectBench: Sendable {
    public struct Settings: Sendable {
        /// How long each load lasts.
        public var seconds = 2.0
        public var clients = [1, 8, 32]
        public var sizes = [4 << 10, 64 << 10, 1 << 20, 64 << 20]
        /// How many keys the bucket has that is listed.
        public var listed = 100_000
        public var withPeers = true
        public init() {}
    }

    /// Starts the store that is measured.
    let program: String
    /// For the store's files, its peers' and the plain ones.
    let folder: String
    let port: Int
    let settings: Settings
    let say: @Sendable (String) -> Void

    public init(
        program: String, folder: String, port: Int, settings: Settings, say: @escaping @Sendable (String) -> Void
    ) {
        self.program = program
        self.folder = folder
        self.port = port
        self.settings = settings
        self.say = say
    }

    /// CPU time of one call with this many clients.
    private static let aimedClients = 8
    private static let aims: [ObjectCall: Aim] = [
        .put(bytes: 4 << 10): Aim(150, "us"), .get(bytes: 4 << 10): Aim(60, "us"), .head: Aim(40, "us"), .list: Aim(2000, "us"),
        .put(bytes: 1 << 20): Aim(3000, "us"), .get(bytes: 1 << 20): Aim(500, "us"), .put(bytes: 64 << 20): Aim(200_000, "us"),
        .get(bytes: 64 << 20): Aim(22_000, "us"),
    ]
    private static let bucket = "bench"
    private static let listedBucket = "listed"
    /// Up to this size a body counts as small.
    private static let smallBytesMax = 64 << 10

    public func run() async throws(Fault) {
        let scratch = try ScratchFolder(folder)
        defer { scratch.remove() }
        say(Measured.machine(accelerator: "none"))
        let own = try await LoneStore.start(program, root: "\(folder)/karri", port: port)
        defer { own.process.end() }
        let peers = try await startPeers()
        defer { for peer in peers { peer.process.end() } }
        try await measure([own.target] + peers.map(\.target))
    }

    private func startPeers() async throws(Fault) -> [ObjectPeer] {
        var peers: [ObjectPeer] = []
        guard settings.withPeers else { return [] }
        for (place, kind) in PeerKind.allCases.enumerated() {
            guard kind.isInstalled else {
                say("\(kind.rawValue) is not installed and is left out")
                continue
            }
            do throws(Fault) {
                peers.append(try await kind.start(in: "\(folder)/\(kind.rawValue)", port: port + 10 * (place + 1)))
            } catch { say("\(kind.rawValue) does not start and is left out: \(error.message)") }
        }
        return peers
    }

    // MARK: Loads

    private func measure(_ targets: [ObjectTarget]) async throws(Fault) {
        let stores = targets.filter { !$0.readsOnly }
        for target in stores {
            for bucket in [ObjectBench.bucket, ObjectBench.listedBucket] {
                try await ObjectClient(target, body: []).make(.put(bytes: 0), "/\(bucket)")
            }
        }
        try Folder.make("\(folder)/plain")
        for size in settings.sizes {
            let body = (0..<size / 8).reduce(into: [UInt8]()) { bytes, number in
                withUnsafeBytes(of: UInt64(number) &* 0x9e37_79b9_7f4a_7c15) { bytes += $0 }
            }
            for clients in settings.clients { try await puts(body, stores, clients) }
            for target in targets { try await seed(target, body) }
            for clients in settings.clients {
                try await compare(.get(bytes: size), targets, clients) {
                    "/\(ObjectBench.bucket)/\(size)-\($0 &* 7919 % keys(size))"
                }
            }
        }
        try await smallCalls(stores)
        try await list(stores)
        say("8 MiB of SHA-256 in \(decimal(Measured.yardstickMilliseconds(), 1)) ms of CPU")
    }

    /// How many keys bodies of a size are put under, by turns: what large ones take of the disk is bounded.
    private func keys(_ size: Int) -> Int { max(8, min(10_000, (512 << 20) / size)) }

    private func puts(_ body: [UInt8], _ stores: [ObjectTarget], _ clients: Int) async throws(Fault) {
        let keys = keys(body.count)
        let files = try await SyncedFiles(folder: "\(folder)/plain").write(body, writers: clients, keys: keys, counter())
        try await compare(.put(bytes: body.count), stores, clients, body: body, plain: files) {
            "/\(ObjectBench.bucket)/\(body.count)-\($0 % keys)"
        }
    }

    /// Every key that GETs ask for is there.
    private func seed(_ target: ObjectTarget, _ body: [UInt8]) async throws(Fault) {
        let keys = keys(body.count)
        guard target.readsOnly else {
            _ = try await ObjectLoad(target: target, clients: 8).run(
                .put(bytes: body.count), body: body, counter: CallCounter(limit: keys, until: .now + .seconds(600))
            ) { "/\(ObjectBench.bucket)/\(body.count)-\($0)" }
            return
        }
        let files = "\(folder)/nginx/files/\(ObjectBench.bucket)"
        try Folder.make(files)
        for number in 0..<keys { try AtomicFile.write(body, to: "\(files)/\(body.count)-\(number)", mode: 0o644) }
    }

    private func smallCalls(_ stores: [ObjectTarget]) async throws(Fault) {
        guard let size = settings.sizes.first else { return }
        for clients in settings.clients {
            try await compare(.head, stores, clients) { "/\(ObjectBench.bucket)/\(size)-\($0 &* 7919 % keys(size))" }
        }
        for clients in settings.clients {
            // A key that is gone is no fault, but costs less: no more are removed than there are.
            try await compare(.delete, stores, clients, limit: keys(size)) { "/\(ObjectBench.bucket)/\(size)-\($0)" }
            let body = [UInt8](repeating: 1, count: size)
            for target in stores where clients != settings.clients.last { try await seed(target, body) }
        }
    }

    private func list(_ stores: [ObjectTarget]) async throws(Fault) {
        say("fills a bucket with \(settings.listed) keys")
        let count = settings.listed
        for target in stores {
            _ = try await ObjectLoad(target: target, clients: 32).run(
                .put(bytes: 0), body: [1], counter: CallCounter(limit: count, until: .now + .seconds(3600))
            ) { "/\(ObjectBench.listedBucket)/key-\($0)" }
        }
        for clients in settings.clients {
            try await compare(.list, stores, clients, query: "list-type=2&max-keys=1000") { _ in "/\(ObjectBench.listedBucket)" }
        }
    }

    private func counter(limit: Int = .max) -> CallCounter {
        CallCounter(limit: limit, until: .now + .milliseconds(Int64(settings.seconds * 1000)))
    }

    /// Loads each target in turn with one kind of call and prints the figures side by side.
    private func compare(
        _ call: ObjectCall, _ targets: [ObjectTarget], _ clients: Int, body: [UInt8] = [], query: String = "", limit: Int = .max,
        plain: LoadFigure? = nil, path: @escaping @Sendable (Int) -> String
    ) async throws(Fault) {
        var figures: [(target: ObjectTarget, figure: LoadFigure)] = []
        for target in targets {
            let load = ObjectLoad(target: target, clients: clients)
            figures.append(
                (target, try await load.run(call, body: body, counter: counter(limit: limit), query: { _ in query }, path: path)))
        }
        guard let own = figures.first?.figure else { return }
        var parts = figures.map { ObjectBench.text($0.target.name, $0.figure, beside: $0.target.name == "karri" ? nil : own) }
        if let plain { parts.append(ObjectBench.text("synced file", plain, beside: own)) }
        var verdicts: [String] = []
        if clients == ObjectBench.aimedClients, let aim = ObjectBench.aims[call] {
            verdicts.append(aim.verdict(own.cpuMicroseconds))
        }
        verdicts += ratios(call, own, figures.dropFirst().map { $0 }, plain)
        say(
            "\(call.label), \(clients) client\(clients == 1 ? "" : "s"): \(parts.joined(separator: "; "))"
                + (verdicts.isEmpty ? "" : " [\(verdicts.joined(separator: "; "))]"))
    }

    private static func text(_ name: String, _ figure: LoadFigure, beside own: LoadFigure?) -> String {
        let ratio = own.map { $0.rate / max(figure.rate, 1e-9) }
        return "\(name) \(decimal(figure.rate, figure.rate < 100 ? 1 : 0))/s \(decimal(figure.cpuMicroseconds, 0)) us"
            + (ratio.map { " (karri \(decimal($0, 2)) x)" } ?? "")
    }

    /// What a call's rate is to be beside others'.
    private func ratios(
        _ call: ObjectCall, _ own: LoadFigure, _ peers: [(target: ObjectTarget, figure: LoadFigure)], _ plain: LoadFigure?
    ) -> [String] {
        func verdict(_ least: Double, of other: LoadFigure?, _ name: String) -> [String] {
            guard let other, other.rate > 0 else { return [] }
            let ratio = own.rate / other.rate
            return ["aim \(decimal(least, 1)) of \(name): \(ratio >= least ? "met" : "MISSED")"]
        }
        switch call {
        case .put(let bytes) where bytes > ObjectBench.smallBytesMax: return verdict(0.7, of: plain, "a synced file")
        case .get(let bytes) where bytes > ObjectBench.smallBytesMax:
            return verdict(0.8, of: peers.first { $0.target.readsOnly }?.figure, "nginx")
        case .put, .get, .head, .delete:
            let best = peers.filter(\.target.isDurable).max { $0.figure.rate < $1.figure.rate }
            return verdict(3, of: best?.figure, best?.target.name ?? "")
        case .list: return []
        }
    }
}
