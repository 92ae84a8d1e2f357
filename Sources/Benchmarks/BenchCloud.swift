//  A cloud that a benchmark drives: one that runs already, or one that the benchmark starts in a
//  folder and under a mark of its own and removes again.

import FoundationEssentials
import Model
import Platform

/// A cloud, driven through the program's own commands and its API.
public struct BenchCloud: Sendable {
    public var program: String
    public var root: String
    public var mark: String
    public var address: String
    public var port: Int
    public var region: String

    public init(program: String, root: String, mark: String, address: String, port: Int, region: String) {
        self.program = program
        self.root = root
        self.mark = mark
        self.address = address
        self.port = port
        self.region = region
    }

    private var place: [String] { (root.isEmpty ? [] : ["--root", root]) + (mark == "karri" ? [] : ["--mark", mark]) }

    /// Runs one of the program's commands on this cloud.
    @discardableResult
    public func karri(_ words: [String]) async throws(Fault) -> String { try await Command.run(program, words + place) }

    /// Refuses to make a cloud where there is one, which would be changed and then removed.
    ///
    /// - Throws: `inUse`.
    public func requireNone() throws(Fault) {
        let installation = Installation(root: root, mark: mark)
        guard [installation.configuration, installation.state].allSatisfy({ !FileManager.default.fileExists(atPath: $0) }) else {
            throw Fault(
                .inUse,
                "there is a cloud or an object store at \(root.isEmpty ? "/" : root) already, and a benchmark would remove it: "
                    + "name another folder with --root, or remove what an earlier run left with karri uninstall")
        }
    }

    /// Starts it, or brings it back.
    public func up(_ choices: [String] = []) async throws(Fault) {
        try await karri(["up", "--yes", "--no-profile", "--no-debian", "--port", String(port), "--region", region] + choices)
    }

    /// Stops its processes; machines run on.
    public func down() async throws(Fault) { try await karri(["down", "--leave-machines"]) }

    public func uninstall() async throws(Fault) { try await karri(["uninstall", "--yes"]) }

    /// All processes of the cloud but the guests: those that name its root on their command line, and
    /// the machine's own cloud's those that name the mark's folders.
    public var processes: Processes {
        let named =
            root.isEmpty ? Processes(roles.flatMap { Processes.running(with: [$0]).ids }) : .running(with: ["--root", root])
        return Processes(
            named.ids.filter { id in
                let words = Measured.text("/proc/\(id)/cmdline").split(separator: "\0").map(String.init)
                return words.count > 1 && roles.contains(words[1]) && (!root.isEmpty || !words.contains("--root"))
            })
    }

    private var roles: [String] { ["supervise", "control", "node", "edge", "simulate"] }

    /// What the first account's administrator, or another one's, signs with.
    public func credentials(of account: String = "karri") throws(Fault) -> BenchCredentials {
        let path = "\(root)/etc/karri/credentials/\(account).json"
        guard let bytes = try AtomicFile.read(path, limit: 1 << 16) else {
            throw Fault(.notFound, "\(path) is missing: benchmarks run as root beside a cloud that was started by karri up")
        }
        do { return try JSONDecoder().decode(BenchCredentials.self, from: Data(bytes)) } catch {
            throw Fault(.storage, "\(path) cannot be read", because: error)
        }
    }

    public func client() -> SignedClient { SignedClient(address: address, port: port, region: region) }

    /// The id of the small starter image.
    public func starterImage(_ client: SignedClient, _ caller: BenchCredentials) async throws(Fault) -> String {
        let answer = try await client.call(
            "DescribeImages", [("Filter.1.Name", "name"), ("Filter.1.Value.1", "starter")], as: caller)
        guard let image = answer.values("imageId").first else {
            throw Fault(.notFound, "this cloud has no starter image: karri up prepares it")
        }
        return image
    }
}
