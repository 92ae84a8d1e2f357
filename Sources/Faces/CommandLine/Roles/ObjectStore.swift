//  An object store put together: its folder, its rules, its workers and its face, under a cloud or alone.

import Authority
import Fabric
import GRPCCore
import Logging
import Model
import ObjectStorage
import Objects
import Platform
import S3

/// An object store of this host.
struct ObjectStore: Sendable {
    let objects: ObjectsService
    let keys: LocalKeyService
    let accounts: any AccountDirectory
    let workers: ObjectWorkers
    let scrub: ScrubWorker
    let accessLogs: AccessLogs
    let notifier: Notifier
    let feed: EventFeed
    let face: S3Face

    struct Settings: Sendable {
        var region: String
        var isSecure: Bool
        /// How long lifecycle's days are, in seconds.
        var lifecycleDay: Int64
        /// How long records of calls wait for others, in seconds.
        var accessLogInterval: Int64
    }

    /// Opens the store in a folder and uses it; closes it whatever `body` does.
    static func with(
        _ folder: String, identity: any KeyDirectory, accounts: any AccountDirectory, seal: Seal, _ settings: Settings,
        webhooks: Webhooks, chance: Chance, log: Logger, _ body: (ObjectStore) async throws -> Void
    ) async throws {
        try await using(try await LocalBackend.open(folder, chance: chance), close: { await $0.close() }) { backend in
            try await using(try await MessageQueue.open(folder + "/messages.sqlite"), close: { await $0.close() }) { messages in
                try await using(try await EventFeed.open(folder + "/events.sqlite"), close: { await $0.close() }) { feed in
                    try await body(
                        try ObjectStore(
                            backend, messages, feed, folder: folder, identity: identity, accounts: accounts, seal: seal, settings,
                            webhooks: webhooks, chance: chance, log: log))
                }
            }
        }
    }

    private static func using<Resource>(
        _ resource: Resource, close: (Resource) async -> Void, _ body: (Resource) async throws -> Void
    ) async throws {
        do { try await body(resource) } catch {
            await close(resource)
            throw error
        }
        await close(resource)
    }

    private init(
        _ backend: any ObjectBackend, _ messages: MessageQueue, _ feed: EventFeed, folder: String, identity: any KeyDirectory,
        accounts: any AccountDirectory, seal: Seal, _ settings: Settings, webhooks: Webhooks, chance: Chance, log: Logger
    ) throws(Fault) {
        self.accounts = accounts
        self.feed = feed
        keys = try LocalKeyService(path: folder + "/keys.json", seal: seal, chance: chance, region: settings.region)
        notifier = Notifier(
            queue: messages, feed: feed, webhooks: webhooks, region: settings.region, chance: chance, log: log)
        objects = ObjectsService(
            backend: backend, accounts: accounts, seal: seal, keys: keys, chance: chance, region: settings.region,
            clock: LifecycleClock(day: .seconds(settings.lifecycleDay)), notifier: notifier)
        scrub = ScrubWorker(objects)
        workers = try ObjectWorkers(
            [LifecycleWorker(objects), scrub] + backend.work.map(BackendWorker.init), path: folder + "/workers.json",
            chance: chance,
            report: { name, fault in
                log.warning("a worker of the object store failed", metadata: ["worker": "\(name)", "fault": "\(fault)"])
            })
        accessLogs = AccessLogs(objects: objects, interval: .seconds(settings.accessLogInterval), log: log)
        face = S3Face(
            identity: identity, objects: objects, accessLogs: accessLogs, isSecure: settings.isSecure, chance: chance, logger: log)
    }

    /// Does its background work until cancelled.
    func work() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await workers.run() }
            group.addTask { try await accessLogs.run() }
            group.addTask { try await notifier.run() }
            defer { group.cancelAll() }
            try await group.waitForAll()
        }
    }

    /// What the operator's command line asks it.
    var administration: [any RegistrableRPCService] {
        [
            ObjectAdministrationService(
                objects: objects, keys: keys, workers: workers, scrub: scrub),
            EventAdministrationService(feed: feed),
        ]
    }
}
