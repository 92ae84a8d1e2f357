//  `karri objects export` and `karri objects import`: a bucket as plain files. The command writes and reads
//  them itself, with the rights of who runs it; the store only gives and takes records and bytes.

import ArgumentParser
import Fabric
import Model

struct ExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Writes a bucket's objects into a folder as plain files.",
        discussion: """
            Each object is a file at its key's path below objects; what no path can say lies below escaped. index.jsonl \
            has a line of JSON for each version, with its headers, tags and SHA-256, and bucket.json the bucket's settings. \
            Encrypted objects are written in the clear. An export that was ended goes on when it is run again; \
            it is whole once index.jsonl is there. Ends with 1 if anything was left out, and names it.
            """)
    @OptionGroup var place: PlaceOptions
    @Flag(help: "Writes all versions and delete markers, not only what is current.") var versions = false
    @Argument(help: "The bucket.") var bucket: String
    @Argument(help: "The folder, which is made, or is empty.") var folder: String

    func run() async throws {
        let client = AdministrationClient(installation: try place.installation())
        let (bucket, folder, versions) = (bucket, folder, versions)
        let isWhole = try await client.transferObjects { store throws(Fault) in
            try await BucketExport(bucket, to: folder, all: versions, from: store).run()
        }
        if !isWhole { throw ExitCode(1) }
    }
}

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Puts an export, or any folder of files, into a bucket.",
        discussion: """
            An export comes back with its headers, tags, entity tags, times and versions. Of a folder that is none, each \
            file becomes an object with its path as its key. What is there already is passed over, so that an import \
            that was ended goes on when it is run again. Ends with 1 if anything could not be given back, and names it.
            """)
    @OptionGroup var place: PlaceOptions
    @Option(
        help: ArgumentHelp(
            "The account that the bucket is made for if it is not there, with the settings of the one that was exported.",
            valueName: "number"))
    var account: String?
    @Argument(help: "The folder.") var folder: String
    @Argument(help: "The bucket.") var bucket: String

    func run() async throws {
        let client = AdministrationClient(installation: try place.installation())
        let (bucket, folder, account) = (bucket, folder, account)
        let isWhole = try await client.transferObjects { store throws(Fault) in
            try await BucketImport(folder, into: bucket, account: account, of: store).run()
        }
        if !isWhole { throw ExitCode(1) }
    }
}

/// How many things are on their way at once, so that they wait for the disk together.
let transferWidth = 16

/// Does several things at once; all have ended when it returns.
func sideBySide<Done: Sendable>(_ jobs: [@Sendable () async -> Result<Done, Fault>]) async -> [Result<Done, Fault>] {
    await withTaskGroup(of: (place: Int, result: Result<Done, Fault>).self) { group in
        for (place, job) in jobs.enumerated() { group.addTask { (place, await job()) } }
        var ended: [(place: Int, result: Result<Done, Fault>)] = []
        for await one in group { ended.append(one) }
        return ended.sorted { $0.place < $1.place }.map(\.result)
    }
}

/// Says how far a transfer is, now and then.
struct TransferProgress {
    private static let interval = Duration.seconds(2)

    private(set) var versions = 0
    private(set) var bytes: Int64 = 0
    /// How many were brought in before.
    private(set) var found = 0
    private(set) var leftOut = 0
    private var told = ContinuousClock.now

    mutating func count(_ bytes: Int64) {
        versions += 1
        self.bytes += bytes
    }

    mutating func countFound() { found += 1 }

    mutating func leaveOut(_ name: String, _ why: String) {
        leftOut += 1
        Output.remark(Output.plain("\(name): \(why)"))
    }

    mutating func tell(_ verb: String, of total: Int? = nil) {
        guard ContinuousClock.now - told >= TransferProgress.interval else { return }
        told = .now
        let there = found == 0 ? "" : ", \(found) were there"
        Output.remark("\(versions)\(total.map { " of \($0)" } ?? "") versions, \(bytes) bytes \(verb)\(there)")
    }
}
