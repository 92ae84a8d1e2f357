//  Tags as documents and headers have them.

import AWSProtocol
import ObjectStorage
import Objects

enum BucketTaggingForm: PlainSettingForm {
    static let root = "Tagging"
    static let readAction = ObjectAction.getBucketTagging
    static let writeAction = ObjectAction.putBucketTagging
    static let part: any WritableKeyPath<BucketSettings, [String: String]?> & Sendable = \BucketSettings.tags
    static let absence: S3Error? = S3Error(.noSuchTagSet, "The TagSet does not exist")

    static func read(_ document: XMLElement) throws -> [String: String]? {
        let tags = try TagSet.read(document)
        try ObjectTags.check(tags, countMax: ObjectTags.bucketCountMax)
        return tags
    }

    static func write(_ value: [String: String], to out: inout XMLWriter) { TagSet.write(value, to: &out) }
}

/// A set of tags.
enum TagSet {
    /// From `<Tagging><TagSet><Tag>…`.
    static func read(_ document: XMLElement) throws(S3Error) -> [String: String] {
        guard let set = document["TagSet"] else { throw XMLElement.malformed }
        return try tags(in: set)
    }

    /// From the `<Tag>`s in an element.
    static func tags(in set: XMLElement) throws(S3Error) -> [String: String] {
        var tags: [String: String] = [:]
        for tag in set.all("Tag") { try add(tag, to: &tags) }
        return tags
    }

    /// Adds what one `<Tag>` says.
    static func add(_ tag: XMLElement, to tags: inout [String: String]) throws(S3Error) {
        guard let key = tag["Key"]?.text, let value = tag["Value"]?.text else { throw XMLElement.malformed }
        guard tags.updateValue(value, forKey: key) == nil else { throw duplicate }
    }

    /// From `x-amz-tagging`, which is written as a query string.
    static func read(header text: String) throws(S3Error) -> [String: String] {
        var tags: [String: String] = [:]
        for (name, value) in S3Query(text).all {
            guard tags.updateValue(String(decoding: value, as: UTF8.self), forKey: name) == nil else {
                throw S3Error.invalidArgument(
                    "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name "
                        + "duplicates.")
            }
        }
        return tags
    }

    private static let duplicate = S3Error(.invalidTag, "Cannot provide multiple Tags with the same key")

    static func write(_ tags: [String: String], to out: inout XMLWriter) {
        out.open("TagSet")
        for (key, value) in tags.sorted(by: { $0.key < $1.key }) {
            out.open("Tag")
            out.element("Key", key)
            out.element("Value", value)
            out.close("Tag")
        }
        out.close("TagSet")
    }
}
