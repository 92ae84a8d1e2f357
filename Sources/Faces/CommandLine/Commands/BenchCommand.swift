//  `karri bench`: the benchmarks, each beside the aim that it is held to.

import ArgumentParser
import Benchmarks
import Model
import Platform

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
#if canImport(Glibc)
    import Glibc
#endif

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measures launches, calls, starts, networks and the object store.",
        subcommands: [Launch.self, API.self, Start.self, Network.self, Objects.self, Keys.self])

    struct Launch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "launch", abstract: "RunInstances to ssh banner, beside the same guest under bare QEMU.")
        @OptionGroup var place: PlaceOptions
        @Option(help: "How often both are measured.") var runs = 30

        func run() async throws {
            try requireRoot("bench launch")
            let installation = try place.installation()
            let configuration = try Configuration.require(installation)
            guard !configuration.isSimulated else { throw Fault(.wrongState, "simulated machines have no ssh") }
            var settings = LaunchBench.Settings()
            settings.runs = max(1, runs)
            settings.accelerator = BenchCommand.accelerator(installation)
            try await LaunchBench(
                cloud: try BenchCommand.cloud(installation, configuration), settings: settings, say: { Output.line($0) }
            ).run()
        }
    }

    struct API: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "api",
            abstract: "What calls cost in a full cloud of simulated hosts, which is made for it and removed again.")
        @Option(help: "How many machines the cloud has; more than 50,000 are written into its store.") var instances = 10_000
        @Option(help: "sqlite or postgresql.") var store = "sqlite"
        @Option(help: "Simulated hosts in session.") var hosts = 100
        @Option(help: "Launches that are measured.") var launches = 400
        @Option(help: "Connections side by side.") var connections = 4
        @Option(help: "Where the cloud's files lie; no cloud is there yet.") var root = "/var/tmp/karri-bench"
        @Option(help: "Begins the names of its things.") var mark = "kbench"
        @Option(help: "The port of its API.") var port = 38_773
        @Flag(help: "Leaves the cloud running afterwards.") var keep = false
        @Flag(help: "Measures the SQLite cloud that an earlier run left with --keep; leaves it again.") var kept = false

        func run() async throws {
            try requireRoot("bench api")
            guard let kind = APIBench.Store(rawValue: store) else {
                throw Fault(.invalidParameter, "--store is sqlite or postgresql, not \(store)")
            }
            guard !kept || kind == .sqlite else {
                throw Fault(.invalidParameter, "a kept cloud can only be measured again on sqlite: the server has gone")
            }
            var settings = APIBench.Settings()
            settings.instances = max(1000, instances)
            settings.store = kind
            settings.hosts = max(1, hosts)
            settings.launches = max(1, launches)
            settings.connections = max(1, connections)
            settings.keeps = keep || kept
            settings.usesKept = kept
            let cloud = BenchCloud(
                program: try ownProgram(), root: try PlaceOptions.absolute(root), mark: mark, address: "127.0.0.1", port: port,
                region: "bench-1")
            try await APIBench(cloud: cloud, settings: settings, say: { Output.line($0) }).run()
        }
    }

    struct Start: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "start", abstract: "Stops the cloud and measures karri up to the API's first answer; machines run on.")
        @OptionGroup var place: PlaceOptions
        @Option(help: "How often.") var runs = 5

        func run() async throws {
            try requireRoot("bench start")
            let installation = try place.installation()
            let configuration = try Configuration.require(installation)
            try await StartBench(
                cloud: try BenchCommand.cloud(installation, configuration), runs: runs, say: { Output.line($0) }
            ).run(accelerator: configuration.isSimulated ? "simulated" : BenchCommand.accelerator(installation))
        }
    }

    struct Network: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "network",
            abstract: "What one more machine costs a host's networking, in a namespace that stands for the host.")
        @Option(help: "How often each is measured.") var runs = 10
        @Option(help: "Begins the names of its things.") var mark = "kbench"

        func run() async throws {
            try requireRoot("bench network")
            try await NetworkBench(mark: mark, runs: runs, say: { Output.line($0) }).run()
        }
    }

    struct Objects: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "objects",
            abstract:
                "The object store beside nginx, SeaweedFS, JuiceFS and radosgw where they are installed, and beside a synced file.",
            discussion:
                "Starts a store of its own and the peers, in a folder that is empty or not there, and removes all of it again.")
        @Option(help: "How long each load lasts, in seconds.") var seconds = 2.0
        @Option(help: "How many clients there are at once, such as 1,8,32.") var clients = "1,8,32"
        @Option(help: "The sizes of bodies in KiB, such as 4,64,1024,65536.") var sizes = "4,64,1024,65536"
        @Option(help: "How many keys the bucket has that is listed.") var listed = 100_000
        @Flag(inversion: .prefixedNo, help: "Measures the peers that are installed as well.") var peers = true
        @Option(help: "Where the files lie: a folder that is empty or not there.") var root = "/var/tmp/karri-bench-objects"
        @Option(help: "The port of its API; the peers take some of the next two hundred and fifty.") var port = 38_773

        func run() async throws {
            try requireRoot("bench objects")
            var settings = ObjectBench.Settings()
            settings.seconds = max(0.1, seconds)
            settings.clients = try Objects.numbers(clients, "--clients")
            settings.sizes = try Objects.numbers(sizes, "--sizes").map { $0 << 10 }
            settings.listed = max(1, listed)
            settings.withPeers = peers
            try await ObjectBench(
                program: try ownProgram(), folder: try PlaceOptions.absolute(root), port: port, settings: settings,
                say: { Output.line($0) }
            ).run()
        }

        private static func numbers(_ text: String, _ option: String) throws(Fault) -> [Int] {
            let numbers = text.split(separator: ",").compactMap { Int($0) }.filter { (1...1 << 20).contains($0) }
            guard !numbers.isEmpty, numbers.count == text.split(separator: ",").count else {
                throw Fault(.invalidParameter, "\(option) is a list of numbers such as 1,8,32, not \(text)")
            }
            return numbers
        }
    }

    struct Keys: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "keys", abstract: "What calls cost in a bucket of very many keys, beside one of few.",
            discussion: """
                Makes a store of its own, in a folder that is empty or not there, and removes it again. Ten million keys take some minutes to make and 8 GB.
                """)
        @Option(help: "How many keys the small bucket has.") var few = 10_000
        @Option(help: "How many the large one has.") var many = 10_000_000
        @Option(help: "How long each load lasts, in seconds.") var seconds = 10.0
        @Option(help: "How many clients there are at once.") var clients = 8
        @Option(help: "Where the files lie: a folder that is empty or not there.") var root = "/var/tmp/karri-bench-keys"
        @Option(help: "The port of its API.") var port = 38_773

        func validate() throws {
            guard few > 0, many >= few else {
                throw ValidationError("The large bucket has at least as many keys as the small one.")
            }
            guard (1...1024).contains(clients) else { throw ValidationError("There are 1 to 1024 clients.") }
        }

        func run() async throws {
            var settings = ManyKeysBench.Settings()
            (settings.few, settings.many, settings.seconds, settings.clients) = (few, many, max(0.1, seconds), clients)
            try await ManyKeysBench(
                program: try ownProgram(), root: try PlaceOptions.absolute(root), port: port, settings: settings,
                say: { Output.line($0) }
            ).run()
        }
    }

    private static func cloud(_ installation: Installation, _ configuration: Configuration) throws(Fault) -> BenchCloud {
        BenchCloud(
            program: try ownProgram(), root: installation.root, mark: installation.mark, address: configuration.address,
            port: configuration.port, region: configuration.region)
    }

    private struct Known: Decodable {
        struct Finding: Decodable { var accelerator: String }
        var finding: Finding
    }

    /// What this host's machines run on, as node found it.
    private static func accelerator(_ installation: Installation) -> String {
        guard let bytes = try? AtomicFile.read(installation.acceleratorFinding, limit: 1 << 16),
            let known = try? JSONDecoder().decode(Known.self, from: Data(bytes))
        else { return "tcg" }
        return known.finding.accelerator
    }
}
