//  A bucket, and what its owner has set for it.

import Model

/// A bucket.
public struct Bucket: Identified, Sendable, Hashable {
    public static var kind: Kind { .bucket }

    public var id: ID<Bucket>
    /// Unique in the cloud.
    public var name: String
    public var account: ID<Account>
    public var region: String
    public var created: Instant
    public var settings: BucketSettings
    /// Where the backend keeps its keys; only the backend looks at it.
    public var shard: Int

    public init(
        id: ID<Bucket>, name: String, account: ID<Account>, region: String, created: Instant,
        settings: BucketSettings = BucketSettings(), shard: Int = 0
    ) {
        self.id = id
        self.name = name
        self.account = account
        self.region = region
        self.created = created
        self.settings = settings
        self.shard = shard
    }
}

/// What is set for a bucket. Each part is nil until somebody sets it.
public struct BucketSettings: Sendable, Hashable, Codable {
    /// Nil: it never kept versions.
    public var versioning: Versioning?
    public var lock: ObjectLock?
    public var tags: [String: String]?
    /// A policy's JSON, as it was given.
    public var policy: String?
    public var ownership: ObjectOwnership?
    public var publicAccess: PublicAccessBlock?
    /// Nil: all is the owner's alone.
    public var grants: [Grant]?
    public var cors: [CORSRule]?
    public var lifecycle: [LifecycleRule]?
    public var encryption: BucketEncryption?
    public var website: Website?
    public var logging: AccessLogging?
    public var notifications: [Notification]?
    /// Whether what happens is told in the cloud's own feed of events.
    public var tellsFeed: Bool?
    public var requesterPays: Bool?
    /// How many bytes may lie in it, as the operator says.
    public var bytesMax: Int64?

    public init() {}
}

/// What lies in a bucket.
public struct BucketUsage: Sendable, Hashable {
    /// Delete markers too.
    public var versions: Int64
    /// With those of parts that have no object yet.
    public var bytes: Int64

    public init(versions: Int64 = 0, bytes: Int64 = 0) {
        self.versions = versions
        self.bytes = bytes
    }

    public static func + (left: BucketUsage, right: BucketUsage) -> BucketUsage {
        BucketUsage(versions: left.versions + right.versions, bytes: left.bytes + right.bytes)
    }
}

/// The uploads in parts of a bucket that have begun and not ended.
public struct UnfinishedUploads: Sendable, Hashable {
    public var count: Int64
    /// Of their parts, as they lie; the bucket's use has them too.
    public var bytes: Int64

    public init(count: Int64 = 0, bytes: Int64 = 0) {
        self.count = count
        self.bytes = bytes
    }
}

public enum Versioning: String, Sendable, Hashable, Codable {
    case enabled = "Enabled"
    case suspended = "Suspended"
}

/// Who owns what others put into a bucket (Amazon S3 User Guide, "Controlling ownership of objects").
public enum ObjectOwnership: String, Sendable, Hashable, Codable {
    case objectWriter = "ObjectWriter"
    case bucketOwnerPreferred = "BucketOwnerPreferred"
    /// Access control lists are off.
    case bucketOwnerEnforced = "BucketOwnerEnforced"
}

/// What of public access is refused or not heard, whatever lists and policies say.
public struct PublicAccessBlock: Sendable, Hashable, Codable {
    public var blocksACLs = false
    public var ignoresACLs = false
    public var blocksPolicy = false
    public var restrictsBuckets = false

    public init() {}
}

// MARK: Access control lists

/// One entry of an access control list.
public struct Grant: Sendable, Hashable, Codable {
    public enum Grantee: Sendable, Hashable, Codable {
        case account(ID<Account>)
        case everyone
        /// Whoever signs.
        case anyAccount
        case logDelivery
    }

    public enum Permission: String, Sendable, Hashable, Codable, CaseIterable {
        case fullControl = "FULL_CONTROL"
        case read = "READ"
        case write = "WRITE"
        case readACL = "READ_ACP"
        case writeACL = "WRITE_ACP"
    }

    public var grantee: Grantee
    public var permission: Permission

    public init(_ grantee: Grantee, _ permission: Permission) {
        self.grantee = grantee
        self.permission = permission
    }
}

// MARK: Locks

/// A bucket's object lock, which is never taken off again.
public struct ObjectLock: Sendable, Hashable, Codable {
    /// What is given to new versions that say nothing of their own.
    public struct Default: Sendable, Hashable, Codable {
        public enum Unit: String, Sendable, Hashable, Codable { case days = "Days", years = "Years" }

        public var mode: Retention.Mode
        public var count: Int
        public var unit: Unit

        public init(mode: Retention.Mode, count: Int, unit: Unit) {
            self.mode = mode
            self.count = count
            self.unit = unit
        }
    }

    public var standard: Default?

    public init(standard: Default? = nil) { self.standard = standard }
}

/// Until when a version is not to be removed.
public struct Retention: Sendable, Hashable, Codable {
    public enum Mode: String, Sendable, Hashable, Codable {
        /// May be lifted by who has the right to.
        case governance = "GOVERNANCE"
        /// By nobody.
        case compliance = "COMPLIANCE"
    }

    public var mode: Mode
    public var until: Instant

    public init(mode: Mode, until: Instant) {
        self.mode = mode
        self.until = until
    }
}

// MARK: Rules

/// Which pages of other origins may ask what (Fetch Standard, "CORS protocol").
public struct CORSRule: Sendable, Hashable, Codable {
    public var id: String?
    public var origins: [String] = []
    public var methods: [String] = []
    public var headers: [String] = []
    public var exposed: [String] = []
    public var secondsMax: Int?

    public init() {}
}

/// What becomes of objects in time (Amazon S3 User Guide, "Managing the lifecycle of objects").
public struct LifecycleRule: Sendable, Hashable, Codable {
    /// What a rule is about; what is nil or empty says nothing.
    public struct Filter: Sendable, Hashable, Codable {
        /// How its owner wrote it.
        public enum Form: String, Sendable, Hashable, Codable {
            /// A prefix of the rule's own, as of before filters.
            case prefix
            case filter
            case and
        }

        public var form: Form
        public var prefix: String?
        public var tags: [String: String] = [:]
        public var greaterThan: Int64?
        public var lessThan: Int64?

        public init(form: Form) { self.form = form }
    }

    public enum Expiration: Sendable, Hashable, Codable {
        case days(Int)
        case date(Instant)
        /// Delete markers behind which nothing is left.
        case markers
        /// Not even those, as its owner has said.
        case notMarkers
    }

    public var id: String
    public var isEnabled: Bool
    public var filter: Filter
    public var expiration: Expiration?
    public var noncurrentDays: Int?
    /// How many noncurrent versions are kept whatever their age.
    public var noncurrentKept: Int?
    public var abandonedUploadDays: Int?

    public init(id: String, isEnabled: Bool, filter: Filter) {
        self.id = id
        self.isEnabled = isEnabled
        self.filter = filter
    }
}

/// How new objects are encrypted that say nothing of their own.
public struct BucketEncryption: Sendable, Hashable, Codable {
    public var method: EncryptionMethod
    public var usesBucketKey: Bool

    public init(method: EncryptionMethod, usesBucketKey: Bool = false) {
        self.method = method
        self.usesBucketKey = usesBucketKey
    }
}

/// Who keeps the key that an object's own key is sealed with.
public enum EncryptionMethod: Sendable, Hashable, Codable {
    /// The store (SSE-S3).
    case store
    /// The key service (SSE-KMS), under a key's name; nil: the account's own for S3.
    case keyService(String?)
    /// The client, who brings it with each call (SSE-C).
    case customer
}

/// How one object is encrypted at rest.
public struct ObjectEncryption: Sendable, Hashable, Codable {
    public var method: EncryptionMethod
    public var usesBucketKey: Bool?
    /// The object's own key, sealed, in Base64.
    public var sealedKey: String

    public init(method: EncryptionMethod, usesBucketKey: Bool? = nil, sealedKey: String) {
        self.method = method
        self.usesBucketKey = usesBucketKey
        self.sealedKey = sealedKey
    }
}

/// A bucket as a website (Amazon S3 User Guide, "Hosting a static website").
public struct Website: Sendable, Hashable, Codable {
    public struct Redirect: Sendable, Hashable, Codable {
        public var scheme: String?
        public var host: String?
        public var keyPrefix: String?
        public var key: String?
        public var status: Int?

        public init() {}
    }

    public struct Rule: Sendable, Hashable, Codable {
        public var keyPrefix: String?
        public var errorStatus: Int?
        public var redirect: Redirect

        public init(redirect: Redirect) { self.redirect = redirect }
    }

    public var index: String?
    public var error: String?
    public var everything: Redirect?
    public var rules: [Rule] = []

    public init() {}
}

/// Where records of a bucket's calls are put.
public struct AccessLogging: Sendable, Hashable, Codable {
    /// Which day a partitioned key says, as clients write it.
    public enum PartitionDate: String, Sendable, Hashable, Codable {
        /// That of the calls whose records lie there.
        case event = "EventTime"
        case delivery = "DeliveryTime"
    }

    public var bucket: String
    public var prefix: String
    /// Whether its owner has said that records' keys are simple, as they are where nothing is said.
    public var statesKeyFormat: Bool?
    /// Where keys say whose calls lie there and of which day; nil: they are simple.
    public var partition: PartitionDate?
    /// Who besides the owner may do what with the records.
    public var grants: [Grant]?

    public init(bucket: String, prefix: String) {
        self.bucket = bucket
        self.prefix = prefix
    }
}

/// Who is told of what happens in a bucket.
public struct Notification: Sendable, Hashable, Codable {
    public var id: String
    /// Such as `s3:ObjectCreated:*`.
    public var events: [String]
    public var target: String
    public var prefix: String?
    public var suffix: String?

    public init(id: String, events: [String], target: String) {
        self.id = id
        self.events = events
        self.target = target
    }
}
