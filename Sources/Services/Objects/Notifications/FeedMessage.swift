//  An event of an object as the cloud's feed has it (Amazon S3 User Guide, "EventBridge event message
//  structure").

import Authority
import Model
import ObjectStorage

struct FeedMessage: Encodable {
    struct BucketPart: Encodable { var name: String }
    struct ObjectPart: Encodable {
        var key: String
        var size: Int64?
        var etag: String?
        var versionId: String?
        var sequencer: String

        enum CodingKeys: String, CodingKey {
            case key, size, etag, sequencer
            case versionId = "version-id"
        }
    }
    struct Detail: Encodable {
        var version = "0"
        var bucket: BucketPart
        var object: ObjectPart
        var requestId: String
        var requester: String
        var sourceAddress: String?
        var reason: String?
        var deletionType: String?

        enum CodingKeys: String, CodingKey {
            case version, bucket, object, requester, reason
            case requestId = "request-id"
            case sourceAddress = "source-ip-address"
            case deletionType = "deletion-type"
        }
    }

    var version = "0"
    var id: String
    var detailType: String
    var source = "aws.s3"
    var account: String
    var time: String
    var region: String
    var resources: [String]
    var detail: Detail

    enum CodingKeys: String, CodingKey {
        case version, id, source, account, time, region, resources, detail
        case detailType = "detail-type"
    }

    /// - Parameters:
    ///   - account: The twelve digits of the bucket's owner.
    ///   - caller: Nil for what the store does by itself.
    init(
        _ event: ObjectEvent, _ subject: EventSubject, in bucket: Bucket, account: String, region: String, now: Instant,
        id: String, sequencer: UInt64, caller: Caller?
    ) {
        self.id = id
        self.account = account
        self.region = region
        time = now.iso8601(milliseconds: false)
        resources = [ObjectsService.name(of: bucket.name).description]
        let words = event.feedWords
        detailType = words.type
        detail = Detail(
            bucket: BucketPart(name: bucket.name),
            object: ObjectPart(
                key: subject.key.description, size: subject.size, etag: subject.entityTag, versionId: subject.version?.spelled,
                sequencer: hexDigits(sequencer).uppercased()),
            requestId: caller?.requestID ?? "",
            requester: caller.map { $0.session.account?.number ?? "anonymous" } ?? "s3.amazonaws.com",
            sourceAddress: caller?.session.circumstances.sourceAddress, reason: words.reason, deletionType: words.deletion)
    }
}

extension ObjectEvent {
    /// What kind of event it is there, why it happened, and how what is gone was removed.
    fileprivate var feedWords: (type: String, reason: String?, deletion: String?) {
        switch self {
        case .put: ("Object Created", "PutObject", nil)
        case .post: ("Object Created", "POST Object", nil)
        case .copy: ("Object Created", "CopyObject", nil)
        case .completeUpload: ("Object Created", "CompleteMultipartUpload", nil)
        case .delete: ("Object Deleted", "DeleteObject", "Permanently Deleted")
        case .putMarker: ("Object Deleted", "DeleteObject", "Delete Marker Created")
        case .expire: ("Object Deleted", "Lifecycle Expiration", "Permanently Deleted")
        case .expireBehindMarker: ("Object Deleted", "Lifecycle Expiration", "Delete Marker Created")
        case .putTags: ("Object Tags Added", nil, nil)
        case .deleteTags: ("Object Tags Deleted", nil, nil)
        case .putACL: ("Object ACL Updated", nil, nil)
        }
    }
}
