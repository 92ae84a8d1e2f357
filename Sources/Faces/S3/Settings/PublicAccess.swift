//  What blocks public access to a bucket.

import AWSProtocol
import ObjectStorage
import Objects

enum PublicAccessForm: PlainSettingForm {
    static let root = "PublicAccessBlockConfiguration"
    static let readAction = ObjectAction.getPublicAccessBlock
    static let writeAction = ObjectAction.putPublicAccessBlock
    static let part: any WritableKeyPath<BucketSettings, PublicAccessBlock?> & Sendable = \BucketSettings.publicAccess
    static let absence: S3Error? = S3Error(
        .noSuchPublicAccessBlockConfiguration, "The public access block configuration was not found")

    static func read(_ document: XMLElement) throws -> PublicAccessBlock? {
        var block = PublicAccessBlock()
        block.blocksACLs = try document.flag("BlockPublicAcls") ?? false
        block.ignoresACLs = try document.flag("IgnorePublicAcls") ?? false
        block.blocksPolicy = try document.flag("BlockPublicPolicy") ?? false
        block.restrictsBuckets = try document.flag("RestrictPublicBuckets") ?? false
        return block
    }

    static func write(_ value: PublicAccessBlock, to out: inout XMLWriter) {
        out.element("BlockPublicAcls", value.blocksACLs)
        out.element("IgnorePublicAcls", value.ignoresACLs)
        out.element("BlockPublicPolicy", value.blocksPolicy)
        out.element("RestrictPublicBuckets", value.restrictsBuckets)
    }
}
