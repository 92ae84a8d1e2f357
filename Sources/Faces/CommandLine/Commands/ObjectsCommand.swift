//  `karri objects`: how the object store is doing, and what its background work is to do.

import ArgumentParser
import Fabric
import Model
import Platform

struct ObjectsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "objects",
        abstract: "Shows the object store's use, damage, keys and background work; sets its limits; takes buckets out and in.",
        subcommands: [
            Usage.self, Check.self, Workers.self, Pause.self, Resume.self, Pace.self, Run.self, Quota.self, Keys.self,
            WebhookCommand.self, ExportCommand.self, ImportCommand.self,
        ], defaultSubcommand: Usage.self)

    // MARK: Use

    struct Usage: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the buckets and what lies in them.")
        @OptionGroup var place: PlaceOptions
        @Flag(help: "Answers in JSON.") var json = false

        struct Line: Encodable {
            var bucket: String
            var account: String
            var versions: Int64
            /// With those of uploads in parts that have not ended.
            var bytes: Int64
            var uploads: Int64
            var uploadBytes: Int64
            var bytesMax: Int64?
        }

        func run() async throws {
            let reply = try await AdministrationClient(installation: try place.installation()).askObjects { stub, options in
                try await stub.listUsage(ListUsageRequest(), options: options)
            }
            let lines = reply.buckets.map {
                Line(
                    bucket: $0.name, account: $0.account, versions: $0.versions, bytes: $0.bytes, uploads: $0.uploads,
                    uploadBytes: $0.uploadBytes, bytesMax: $0.bytesMax == 0 ? nil : $0.bytesMax)
            }
            if json { return Output.write(try encoded(lines), to: 1) }
            for line in lines {
                let limit = line.bytesMax.map { " of \($0)" } ?? ""
                let begun = line.uploads == 0 ? "" : "  \(line.uploadBytes) of them in \(line.uploads) unfinished uploads"
                Output.line(
                    "\(line.bucket)  account \(line.account)  \(line.versions) versions  \(line.bytes)\(limit) bytes\(begun)")
            }
        }
    }

    struct Quota: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sets how many bytes a bucket, or all buckets of an account, may hold.")
        @OptionGroup var place: PlaceOptions
        @Option(help: "A bucket's name.") var bucket: String?
        @Option(help: "An account's number.") var account: String?
        @Argument(help: "The most bytes; 0 takes the limit off.") var bytes: Int64

        func validate() throws {
            guard (bucket == nil) != (account == nil) else { throw ValidationError("Name one bucket or one account.") }
            guard bytes >= 0 else { throw ValidationError("There are no fewer than 0 bytes.") }
        }

        func run() async throws {
            let request = SetQuotaRequest.with {
                $0.bucket = bucket ?? ""
                $0.account = account ?? ""
                $0.bytesMax = bytes
            }
            _ = try await AdministrationClient(installation: try place.installation()).askObjects { stub, options in
                try await stub.setQuota(request, options: options)
            }
        }
    }

    // MARK: Damage

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Reads everything that is stored and says what is not as it was written.",
            discussion:
                "Prints a line for each damaged object and ends with 1 if there is any. What is damaged is never returned to a client."
        )
        @OptionGroup var place: PlaceOptions

        private static let interval = Duration.milliseconds(300)

        func run() async throws {
            let client = AdministrationClient(installation: try place.installation())
            let ask = { @Sendable () async throws in
                try await client.askObjects { stub, options in try await stub.listDamage(ListDamageRequest(), options: options) }
            }
            let before = try await ask()
            try Check.requireWork(before)
            _ = try await client.askObjects { stub, options in
                try await stub.changeWorker(
                    ChangeWorkerRequest.with {
                        $0.name = "scrub"
                        $0.now = true
                    }, options: options)
            }
            // A round that runs already began before this was asked.
            let wanted = before.rounds + (before.running ? 2 : 1)
            var shown = ""
            while true {
                let reply = try await ask()
                if reply.rounds >= wanted {
                    let damaged = try Check.damage(in: reply)
                    for line in damaged { Output.line(line) }
                    guard damaged.isEmpty else { throw ExitCode(1) }
                    return Output.line("\(reply.versions) versions were read, and all are as they were written")
                }
                try Check.requireWork(reply)
                if reply.progress != shown {
                    shown = reply.progress
                    Output.remark(Output.plain(shown))
                }
                try await Task.sleep(for: Check.interval)
            }
        }

        /// - Throws: `wrongState` where nobody reads anything until the operator says so.
        static func requireWork(_ reply: ListDamageReply) throws(Fault) {
            guard reply.paused else { return }
            throw Fault(.wrongState, "nothing is read while the scrub is paused: karri objects resume scrub")
        }

        /// What the round that has just ended found, a line each.
        ///
        /// - Throws: `storage` where it did not read everything.
        static func damage(in reply: ListDamageReply) throws(Fault) -> [String] {
            guard reply.failure.isEmpty else {
                throw Fault(.storage, "not everything was read: \(Output.plain(reply.failure))")
            }
            return reply.objects.map { damaged in
                let name = Output.plain("\(damaged.bucket)/\(String(decoding: damaged.key, as: UTF8.self))")
                return "\(name), version \(damaged.version): \(damaged.fault)"
            }
        }
    }

    // MARK: Workers

    struct Workers: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the background work and how far it is.")
        @OptionGroup var place: PlaceOptions
        @Flag(help: "Answers in JSON.") var json = false

        func run() async throws {
            let reply = try await AdministrationClient(installation: try place.installation()).askObjects { stub, options in
                try await stub.listWorkers(ListWorkersRequest(), options: options)
            }
            try WorkerLine.tell(reply, json: json)
        }
    }

    struct Pause: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lets a worker rest until it is resumed.")
        @OptionGroup var place: PlaceOptions
        @Argument(help: "The worker's name.") var name: String

        func run() async throws { try await WorkerLine.change(name, place) { $0.paused = true } }
    }

    struct Resume: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lets a worker go on.")
        @OptionGroup var place: PlaceOptions
        @Argument(help: "The worker's name.") var name: String

        func run() async throws { try await WorkerLine.change(name, place) { $0.paused = false } }
    }

    struct Pace: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Slows a worker down, or lets it work at full speed.")
        @OptionGroup var place: PlaceOptions
        @Argument(help: "The worker's name.") var name: String
        @Argument(help: "Hundredths of its full speed, 1 to 100.") var pace: Int32

        func run() async throws {
            let pace = pace
            try await WorkerLine.change(name, place) { $0.pace = pace }
        }
    }

    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Has a worker begin a round at once.")
        @OptionGroup var place: PlaceOptions
        @Argument(help: "The worker's name.") var name: String

        func run() async throws { try await WorkerLine.change(name, place) { $0.now = true } }
    }

    // MARK: Keys

    struct Keys: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Lists, makes and switches off the key service's keys.",
            subcommands: [List.self, Create.self, Enable.self, Disable.self], defaultSubcommand: List.self)

        struct List: AsyncParsableCommand {
            static let configuration = CommandConfiguration(abstract: "Lists the keys.")
            @OptionGroup var place: PlaceOptions

            func run() async throws {
                let reply = try await AdministrationClient(installation: try place.installation()).askObjects { stub, options in
                    try await stub.listKeys(ListKeysRequest(), options: options)
                }
                for key in reply.keys { Keys.tell(key) }
            }
        }

        struct Create: AsyncParsableCommand {
            static let configuration = CommandConfiguration(abstract: "Makes a key for an account.")
            @OptionGroup var place: PlaceOptions
            @Argument(help: "The account's number.") var account: String

            func run() async throws {
                let account = account
                Keys.tell(
                    try await AdministrationClient(installation: try place.installation()).askObjects { stub, options in
                        try await stub.createKey(CreateKeyRequest.with { $0.account = account }, options: options)
                    })
            }
        }

        struct Enable: AsyncParsableCommand {
            static let configuration = CommandConfiguration(abstract: "Lets a key be used again.")
            @OptionGroup var place: PlaceOptions
            @Argument(help: "The key's name.") var name: String

            func run() async throws { try await Keys.change(name, place, isEnabled: true) }
        }

        struct Disable: AsyncParsableCommand {
            static let configuration = CommandConfiguration(
                abstract: "Lets a key be used no more: what was encrypted with it cannot be read until it is enabled.")
            @OptionGroup var place: PlaceOptions
            @Argument(help: "The key's name.") var name: String

            func run() async throws { try await Keys.change(name, place, isEnabled: false) }
        }

        fileprivate static func change(_ name: String, _ place: PlaceOptions, isEnabled: Bool) async throws {
            let request = ChangeKeyRequest.with {
                $0.name = name
                $0.enabled = isEnabled
            }
            tell(
                try await AdministrationClient(installation: try place.installation()).askObjects { stub, options in
                    try await stub.changeKey(request, options: options)
                })
        }

        fileprivate static func tell(_ key: EncryptionKey) {
            Output.line("\(key.name)  \(key.enabled ? "enabled" : "disabled")")
        }
    }
}

/// A worker as people read of it.
private struct WorkerLine: Encodable {
    var name: String
    var state: String
    var pace: Int32
    var rounds: Int64
    var progress: String
    var last: String
    var failure: String?

    init(_ worker: Fabric.ObjectWorker) {
        name = worker.name
        state = worker.state
        pace = worker.pace
        rounds = worker.rounds
        progress = worker.progress
        last = worker.last
        failure = worker.failure.isEmpty ? nil : worker.failure
    }

    static func tell(_ reply: ListWorkersReply, json: Bool) throws {
        let lines = reply.workers.map(WorkerLine.init)
        if json { return Output.write(try encoded(lines), to: 1) }
        for line in lines {
            let doing = line.progress.isEmpty ? "" : ": \(line.progress)"
            Output.line("\(line.name)  \(line.state) at \(line.pace) %\(doing)")
            if !line.last.isEmpty { Output.line("  last: \(line.last)") }
            if let failure = line.failure { Output.line("  failed: \(failure)") }
        }
    }

    static func change(
        _ name: String, _ place: PlaceOptions, _ wish: @Sendable (inout ChangeWorkerRequest) -> Void
    ) async throws {
        var request = ChangeWorkerRequest.with { $0.name = name }
        wish(&request)
        let asked = request
        let reply = try await AdministrationClient(installation: try place.installation()).askObjects { stub, options in
            try await stub.changeWorker(asked, options: options)
        }
        try tell(reply, json: false)
    }
}
