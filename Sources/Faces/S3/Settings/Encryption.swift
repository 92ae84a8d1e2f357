//  How a bucket's new objects are encrypted where they say nothing of their own.

import AWSProtocol
import ObjectStorage
import Objects

enum EncryptionForm: PlainSettingForm {
    static let root = "ServerSideEncryptionConfiguration"
    static let readAction = ObjectAction.getEncryption
    static let writeAction = ObjectAction.putEncryption
    static let part: any WritableKeyPath<BucketSettings, BucketEncryption?> & Sendable = \BucketSettings.encryption
    static let absence: S3Error? = S3Error(
        .serverSideEncryptionConfigurationNotFoundError, "The server side encryption configuration was not found")

    static func read(_ document: XMLElement) throws -> BucketEncryption? {
        let rules = document.all("Rule")
        guard rules.count == 1 else { throw XMLElement.malformed }
        let usesBucketKey = try rules[0].flag("BucketKeyEnabled") ?? false
        if let blocked = rules[0]["BlockedEncryptionTypes"] { try check(blocked) }
        guard let standard = rules[0]["ApplyServerSideEncryptionByDefault"] else {
            // A rule may be of what is blocked alone: the store's own keys are then S3's default.
            guard rules[0]["BlockedEncryptionTypes"] != nil else { throw XMLElement.malformed }
            return BucketEncryption(method: .store, usesBucketKey: usesBucketKey)
        }
        let key = standard["KMSMasterKeyID"].flatMap { $0.text.isEmpty ? nil : $0.text }
        switch standard["SSEAlgorithm"]?.text {
        case "AES256":
            guard key == nil else {
                throw S3Error.invalidArgument(
                    "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse")
            }
            return BucketEncryption(method: .store, usesBucketKey: usesBucketKey)
        case "aws:kms": return BucketEncryption(method: .keyService(key), usesBucketKey: usesBucketKey)
        case "aws:kms:dsse": throw S3Error.notImplemented("aws:kms:dsse")
        default: throw XMLElement.malformed
        }
    }

    /// Refuses to block what is not blocked here; that nothing is blocked may be said.
    private static func check(_ blocked: XMLElement) throws {
        for type in blocked.all("EncryptionType") {
            switch type.text {
            case "NONE": continue
            case "SSE-C": throw S3Error.notImplemented("BlockedEncryptionTypes")
            default: throw XMLElement.malformed
            }
        }
    }

    static func write(_ value: BucketEncryption, to out: inout XMLWriter) {
        out.open("Rule")
        out.open("ApplyServerSideEncryptionByDefault")
        switch value.method {
        case .store, .customer: out.element("SSEAlgorithm", "AES256")
        case .keyService(let key):
            out.element("SSEAlgorithm", "aws:kms")
            out.element("KMSMasterKeyID", key)
        }
        out.close("ApplyServerSideEncryptionByDefault")
        out.element("BucketKeyEnabled", value.usesBucketKey)
        out.close("Rule")
    }
}
