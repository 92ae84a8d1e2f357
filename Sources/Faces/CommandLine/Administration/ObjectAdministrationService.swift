//  The operator's side of the object store.

import Fabric
import FoundationEssentials
import GRPCCore
import Model
import Objects

struct ObjectAdministrationService: ObjectAdministration.SimpleServiceProtocol {
    let objects: ObjectsService
    let keys: LocalKeyService
    let workers: ObjectWorkers
    let scrub: ScrubWorker

    // MARK: Workers

    func listWorkers(request: ListWorkersRequest, context: ServerContext) async throws -> ListWorkersReply { shownWorkers }

    func changeWorker(request: ChangeWorkerRequest, context: ServerContext) async throws -> ListWorkersReply {
        try await administered { () async throws(Fault) in
            try await workers.change(
                request.name, isPaused: request.hasPaused ? request.paused : nil, pace: request.hasPace ? Int(request.pace) : nil,
                now: request.now)
            return shownWorkers
        }
    }

    private var shownWorkers: ListWorkersReply {
        ListWorkersReply.with { reply in
            reply.workers = workers.statuses.map { status in
                Fabric.ObjectWorker.with {
                    $0.name = status.name
                    $0.state = status.state.rawValue
                    $0.progress = status.progress
                    $0.rounds = Int64(status.rounds)
                    $0.last = status.last
                    $0.lastEndedAt = status.lastEnded?.microseconds ?? 0
                    $0.failure = status.failure ?? ""
                    $0.pace = Int32(status.pace)
                }
            }
        }
    }

    func listDamage(request: ListDamageRequest, context: ServerContext) async throws -> ListDamageReply {
        let found = scrub.found
        let status = workers.statuses.first { $0.name == scrub.name }
        return ListDamageReply.with { reply in
            reply.versions = Int64(found.versions)
            reply.rounds = Int64(status?.rounds ?? 0)
            reply.running = status?.state == .running
            reply.progress = status?.progress ?? ""
            reply.failure = status?.failure ?? ""
            reply.paused = status?.state == .paused
            reply.objects = found.damaged.map { damaged in
                Fabric.DamagedObject.with {
                    $0.bucket = damaged.bucket
                    $0.key = Data(damaged.key.bytes)
                    $0.version = damaged.version.spelled
                    $0.fault = damaged.fault
                    $0.foundAt = damaged.found.microseconds
                }
            }
        }
    }

    // MARK: Use

    func listUsage(request: ListUsageRequest, context: ServerContext) async throws -> ListUsageReply {
        try await administered { () async throws(Fault) in
            let uses = try await objects.useOfBuckets()
            return ListUsageReply.with { reply in
                reply.buckets = uses.map { use in
                    Fabric.BucketUsage.with {
                        $0.name = use.bucket
                        $0.account = use.account
                        $0.versions = use.usage.versions
                        $0.bytes = use.usage.bytes
                        $0.uploads = use.unfinished.count
                        $0.uploadBytes = use.unfinished.bytes
                        $0.bytesMax = use.bytesMax ?? 0
                    }
                }
            }
        }
    }

    func setQuota(request: SetQuotaRequest, context: ServerContext) async throws -> SetQuotaReply {
        try await administered { () async throws(Fault) in
            let most = request.bytesMax == 0 ? nil : request.bytesMax
            if request.bucket.isEmpty {
                try await objects.setQuota(most, ofAccount: request.account)
            } else {
                try await objects.setQuota(most, ofBucket: request.bucket)
            }
            return SetQuotaReply()
        }
    }

    // MARK: Keys

    func listKeys(request: ListKeysRequest, context: ServerContext) async throws -> ListKeysReply {
        let all = await keys.all
        return ListKeysReply.with { $0.keys = all.map(shown) }
    }

    func createKey(request: CreateKeyRequest, context: ServerContext) async throws -> EncryptionKey {
        try await administered { () async throws(Fault) in
            shown(try await keys.create(for: try await objects.account(number: request.account)))
        }
    }

    func changeKey(request: ChangeKeyRequest, context: ServerContext) async throws -> EncryptionKey {
        try await administered { () async throws(Fault) in
            shown(try await keys.setEnabled(request.enabled, request.name))
        }
    }

    private func shown(_ key: ServiceKey) -> EncryptionKey {
        EncryptionKey.with {
            $0.name = keys.fullName(of: key)
            $0.account = key.accountNumber
            $0.enabled = key.isEnabled
            $0.createdAt = key.created.microseconds
        }
    }
}
