//  Tags of objects and buckets.

import Authority
import Model
import ObjectStorage

/// What tags may be (Amazon S3 User Guide, "Categorizing objects using tags").
public enum ObjectTags {
    public static let countMax = 10
    /// Of a bucket.
    public static let bucketCountMax = 50
    private static let keyLengthMax = 128
    private static let valueLengthMax = 256

    public static func check(_ tags: [String: String], countMax: Int = countMax) throws(Fault) {
        guard tags.count <= countMax else {
            throw Fault(.invalidTag, "Object tags cannot be greater than \(countMax)", kind: .object)
        }
        for (key, value) in tags {
            guard !key.isEmpty, key.utf16.count <= keyLengthMax, !key.lowercased().hasPrefix("aws:") else {
                throw Fault(.invalidTag, "The TagKey you have provided is invalid", kind: .object)
            }
            guard value.utf16.count <= valueLengthMax else {
                throw Fault(.invalidTag, "The TagValue you have provided is invalid", kind: .object)
            }
        }
    }
}

extension ObjectsService {
    public func tags(of name: ObjectName, by caller: Caller) async throws(Fault) -> (StoredObject, [String: String]) {
        let found = try await object(name, for: name.version == nil ? .getObjectTagging : .getVersionTagging, by: caller)
        return (found, found.version.detail.tags ?? [:])
    }

    /// Gives a version other tags.
    ///
    /// - Parameter tags: Nil takes them off.
    public func setTags(_ tags: [String: String]?, of name: ObjectName, by caller: Caller) async throws(Fault) -> StoredObject {
        let action: ObjectAction =
            switch (tags, name.version) {
            case (nil, nil): .deleteObjectTagging
            case (nil, _): .deleteVersionTagging
            case (_, nil): .putObjectTagging
            default: .putVersionTagging
            }
        let asking = tags.map(caller.asking) ?? caller
        let found = try await object(name, for: action, by: asking)
        if let tags { try ObjectTags.check(tags) }
        try await revise(found, name.key, for: action, by: asking) { detail throws(Fault) in
            detail.tags = tags?.isEmpty == false ? tags : nil
        }
        await announce(tags?.isEmpty == false ? .putTags : .deleteTags, name.key, found, by: caller)
        return found
    }
}
