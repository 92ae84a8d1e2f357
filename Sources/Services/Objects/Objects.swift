//  The object store's service: S3's rules over a backend. Everything goes through `bucket(…, for:)` or
//  `object(…, for:)`, which find a thing and decide whether the caller may do what is asked of it.

import Authority
import Crypto
import Model
import ObjectStorage

/// Buckets and objects of all accounts.
public struct ObjectsService: Sendable {
    let backend: any ObjectBackend
    let accounts: any AccountDirectory
    /// Seals the keys of objects that are encrypted by the store itself.
    let seal: Seal
    let keys: any KeyService
    let chance: Chance
    public let region: String
    /// How long lifecycle's days are.
    public let clock: LifecycleClock
    /// Tells what happens; nil: nobody.
    let notifier: Notifier?
    let policies = CompiledPolicies()
    let lanes = HashLanes()

    public init(
        backend: any ObjectBackend, accounts: any AccountDirectory, seal: Seal, keys: any KeyService, chance: Chance,
        region: String, clock: LifecycleClock = LifecycleClock(), notifier: Notifier? = nil
    ) {
        self.notifier = notifier
        self.clock = clock
        self.backend = backend
        self.accounts = accounts
        self.seal = seal
        self.keys = keys
        self.chance = chance
        self.region = region
    }

    /// A bucket, whoever calls.
    ///
    /// - Throws: `notFound` of a bucket.
    public func bucket(named name: String) async throws(Fault) -> Bucket {
        guard let bucket = try await backend.bucket(named: name) else { throw ObjectFaults.bucketIsGone }
        return bucket
    }

    /// A bucket, once the caller is found to be allowed an action on it or on a key in it.
    ///
    /// - Throws: `notFound` where there is no such bucket, and what `authorize` throws.
    public func bucket(
        _ name: String, key: ObjectKey? = nil, for action: ObjectAction, by caller: Caller
    ) async throws(Fault) -> Bucket {
        let bucket = try await bucket(named: name)
        try authorize(action, on: bucket, key: key, by: caller)
        return bucket
    }

    /// The id by which S3 shows an account: 64 hex digits that say nothing of it.
    public static func canonicalID(of account: ID<Account>) -> String {
        hexDigits(Array(SHA256.hash(data: Array("karri account \(account.hex)".utf8))))
    }

    /// How policies name a bucket or an object.
    static func name(of bucket: String, _ key: ObjectKey? = nil) -> ResourceName {
        ResourceName(service: "s3", resource: key.map { "\(bucket)/\($0)" } ?? bucket)
    }
}

/// Which object, or which version of it.
public struct ObjectName: Sendable, Hashable {
    public var bucket: String
    public var key: ObjectKey
    /// Nil: the current one.
    public var version: VersionID?

    public init(bucket: String, key: ObjectKey, version: VersionID? = nil) {
        self.bucket = bucket
        self.key = key
        self.version = version
    }
}

/// A version, with the bucket that it is in.
public struct StoredObject: Sendable {
    public let bucket: Bucket
    public let version: ObjectVersion
    /// Whether the reader has it already, as its conditions say (RFC 9110, section 15.4.5).
    public var isNotModified = false

    /// What clients are told of which version it is; nil in a bucket that never kept any.
    public var shownVersion: VersionID? { bucket.settings.versioning == nil ? nil : version.id }

    /// How who has just stored it is told of it: the version that takes another's place is named to nobody.
    public var newVersion: VersionID? { version.id == .null ? nil : shownVersion }
}

extension ObjectsService {
    /// When a current version will expire, and by which rule; nil where no rule is about it.
    public func expiry(of key: ObjectKey, _ found: StoredObject) -> (when: Instant, rule: String)? {
        guard found.bucket.settings.lifecycle != nil else { return nil }
        return found.bucket.settings.expiry(of: key, found.version, clock: clock)
    }

    /// When an upload will be aborted if it is not completed, and by which rule; nil where no rule is about it.
    public func abortion(of started: StartedUpload) -> (when: Instant, rule: String)? {
        let dates = (started.bucket.settings.lifecycle ?? []).compactMap { rule -> (when: Instant, rule: String)? in
            guard rule.isEnabled, let days = rule.abandonedUploadDays, rule.filter.covers(started.upload.key, size: 0) else {
                return nil
            }
            return (clock.due(started.upload.begun, days: days), rule.id)
        }
        return dates.min { $0.when < $1.when }
    }
}
