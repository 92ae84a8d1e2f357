//  The header fields that S3 has of its own.

import HTTPTypes

extension HTTPField.Name {
    private static func known(_ text: StaticString) -> HTTPField.Name {
        guard let name = HTTPField.Name(text.description) else { preconditionFailure("\(text) is no field's name") }
        return name
    }

    static let requestID = known("x-amz-request-id")
    static let versionID = known("x-amz-version-id")
    static let deleteMarker = known("x-amz-delete-marker")
    static let copySourceVersionID = known("x-amz-copy-source-version-id")
    static let bucketRegion = known("x-amz-bucket-region")
    static let partsCount = known("x-amz-mp-parts-count")
    static let taggingCount = known("x-amz-tagging-count")
    static let lockMode = known("x-amz-object-lock-mode")
    static let lockUntil = known("x-amz-object-lock-retain-until-date")
    static let legalHold = known("x-amz-object-lock-legal-hold")
    static let storageClass = known("x-amz-storage-class")
    static let encryption = known("x-amz-server-side-encryption")
    static let encryptionKey = known("x-amz-server-side-encryption-aws-kms-key-id")
    static let bucketKeyEnabled = known("x-amz-server-side-encryption-bucket-key-enabled")
    static let customerAlgorithm = known("x-amz-server-side-encryption-customer-algorithm")
    static let customerKeyMD5 = known("x-amz-server-side-encryption-customer-key-md5")
    static let checksumAlgorithm = known("x-amz-checksum-algorithm")
    static let checksumType = known("x-amz-checksum-type")
    static let abortDate = known("x-amz-abort-date")
    static let abortRule = known("x-amz-abort-rule-id")
    static let expiration = known("x-amz-expiration")
    static let websiteRedirectLocation = known("x-amz-website-redirect-location")
    static let errorCode = known("x-amz-error-code")
    static let errorMessage = known("x-amz-error-message")
    static let requestCharged = known("x-amz-request-charged")
}

extension HTTPFields {
    /// Sets a field by a name that is put together; one that is no field's name is left out.
    mutating func set(_ name: String, _ value: String?) {
        if let value, let name = HTTPField.Name(name) { self[name] = value }
    }
}

/// A field's value without the spaces around it.
func trimmed(_ text: some StringProtocol) -> String {
    var rest = text[...]
    while rest.first == " " { rest = rest.dropFirst() }
    while rest.last == " " { rest = rest.dropLast() }
    return String(rest)
}
