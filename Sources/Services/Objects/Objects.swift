//  The object store's service: S3's rules over a backend. Everything goes through `bucket(…, for:)`,
//  which finds a bucket and decides whether the caller may do what is asked of it.

import Authority
import Crypto
import Model
import ObjectStorage

/// Buckets and objects of all accounts.
public struct ObjectsService: Sendable {
    let backend: any ObjectBackend
    let chance: Chance
    public let region: String

    public init(backend: any ObjectBackend, chance: Chance, region: String) {
        self.backend = backend
        self.chance = chance
        self.region = region
    }

    /// A bucket, once the caller is found to be allowed an action on it or on a key in it.
    ///
    /// - Throws: `notFound` where there is no such bucket, `denied` where it is another's or the caller's
    ///   policies say no.
    func bucket(
        _ name: String, key: ObjectKey? = nil, for action: Action<Bucket>, by session: Session
    ) async throws(Fault) -> Bucket {
        guard let bucket = try await backend.bucket(named: name) else { throw ObjectFaults.bucketIsGone }
        _ = try session.authorizeAll(action, on: ObjectsService.name(of: name, key))
        guard session.isSystem || session.account?.id == bucket.account else {
            throw Fault(.denied, "Access Denied", kind: .bucket)
        }
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

extension Action where Thing == Bucket {
    static var createBucket: Action { Action("s3:CreateBucket") }
    static var deleteBucket: Action { Action("s3:DeleteBucket") }
    static var listBucket: Action { Action("s3:ListBucket") }
    static var listAllMyBuckets: Action { Action("s3:ListAllMyBuckets") }
    static var bucketLocation: Action { Action("s3:GetBucketLocation") }
    static var putObject: Action { Action("s3:PutObject") }
    static var getObject: Action { Action("s3:GetObject") }
    static var abortUpload: Action { Action("s3:AbortMultipartUpload") }
    static var listParts: Action { Action("s3:ListMultipartUploadParts") }
    static var listUploads: Action { Action("s3:ListBucketMultipartUploads") }
    static var deleteObject: Action { Action("s3:DeleteObject") }
}
