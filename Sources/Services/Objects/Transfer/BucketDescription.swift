//  A bucket as an export tells it: what it is called, whose it is and what is set for it, in JSON.

import FoundationEssentials
import Model
import ObjectStorage

/// A bucket without what lies in it.
public struct BucketDescription: Sendable, Codable {
    public static let formatNow = "karri-bucket-1"

    public var format = formatNow
    public var name: String
    /// The number of the account.
    public var account: String
    public var region: String
    public var created: String
    /// But for its list, in which accounts stand.
    public var settings: BucketSettings
    public var grants: [VersionRecord.Permission]?
    /// Whether all versions are exported, or only the current ones.
    public var hasAllVersions: Bool?

    /// - Throws: `malformedRequest` where it is none.
    public init(json: [UInt8]) throws(Fault) {
        do { self = try JSONDecoder().decode(BucketDescription.self, from: Data(json)) } catch {
            throw Fault(.malformedRequest, "it does not describe a bucket", because: error)
        }
        guard format == BucketDescription.formatNow else {
            throw Fault(.malformedRequest, "its format is \(format), and not \(BucketDescription.formatNow)")
        }
    }

    init(_ bucket: Bucket, account: String, grants: [VersionRecord.Permission]?) {
        name = bucket.name
        self.account = account
        region = bucket.region
        created = bucket.created.iso8601Precise
        settings = bucket.settings
        settings.grants = nil
        self.grants = grants
    }

    /// For people to read.
    public var json: [UInt8] {
        get throws(Fault) {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            do { return Array(try encoder.encode(self)) + [0x0a] } catch {
                throw Fault(.malformedRequest, "the bucket's description cannot be written as JSON", because: error)
            }
        }
    }
}
