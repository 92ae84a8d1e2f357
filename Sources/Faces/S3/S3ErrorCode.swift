//  S3's codes and the statuses that go with them, in one place, so that one that S3 has not does not compile.

extension S3Error {
    /// A code as clients know it ("List of error codes", Amazon S3 API Reference; what is not there is said so).
    struct Code: Sendable, Hashable {
        let name: String
        let status: Int

        private init(_ name: String, _ status: Int = 400) {
            self.name = name
            self.status = status
        }

        static let accessControlListNotSupported = Code("AccessControlListNotSupported")
        static let accessDenied = Code("AccessDenied", 403)
        static let accessForbidden = Code("AccessForbidden", 403)
        static let authorizationHeaderMalformed = Code("AuthorizationHeaderMalformed")
        static let authorizationQueryParametersError = Code("AuthorizationQueryParametersError")
        static let badDigest = Code("BadDigest")
        static let badRequest = Code("BadRequest")
        static let bucketAlreadyExists = Code("BucketAlreadyExists", 409)
        static let bucketAlreadyOwnedByYou = Code("BucketAlreadyOwnedByYou", 409)
        static let bucketNotEmpty = Code("BucketNotEmpty", 409)
        static let entityTooLarge = Code("EntityTooLarge")
        static let entityTooSmall = Code("EntityTooSmall")
        static let incompleteBody = Code("IncompleteBody")
        /// Of this store, which has a disk that ends.
        static let insufficientCapacity = Code("InsufficientCapacity", 507)
        static let internalError = Code("InternalError", 500)
        static let invalidAccessKeyId = Code("InvalidAccessKeyId", 403)
        static let invalidArgument = Code("InvalidArgument")
        static let invalidBucketAclWithObjectOwnership = Code("InvalidBucketAclWithObjectOwnership")
        static let invalidBucketName = Code("InvalidBucketName")
        static let invalidBucketOwnerAWSAccountID = Code("InvalidBucketOwnerAWSAccountID")
        static let invalidBucketState = Code("InvalidBucketState", 409)
        static let invalidDigest = Code("InvalidDigest")
        static let invalidEncryptionAlgorithmError = Code("InvalidEncryptionAlgorithmError")
        static let invalidLocationConstraint = Code("InvalidLocationConstraint")
        static let invalidPart = Code("InvalidPart")
        static let invalidPartNumber = Code("InvalidPartNumber", 416)
        static let invalidPartOrder = Code("InvalidPartOrder")
        static let invalidPolicyDocument = Code("InvalidPolicyDocument")
        static let invalidRange = Code("InvalidRange", 416)
        static let invalidRedirectLocation = Code("InvalidRedirectLocation")
        static let invalidRequest = Code("InvalidRequest")
        static let invalidStorageClass = Code("InvalidStorageClass")
        /// As public suites expect it; the list has none for a default retention.
        static let invalidRetentionPeriod = Code("InvalidRetentionPeriod")
        static let invalidTag = Code("InvalidTag")
        static let invalidTargetBucketForLogging = Code("InvalidTargetBucketForLogging")
        static let invalidURI = Code("InvalidURI")
        static let keyTooLongError = Code("KeyTooLongError")
        static let kmsDisabled = Code("KMS.DisabledException")
        static let kmsNotFound = Code("KMS.NotFoundException")
        static let malformedACLError = Code("MalformedACLError")
        static let malformedPolicy = Code("MalformedPolicy")
        static let malformedPOSTRequest = Code("MalformedPOSTRequest")
        static let malformedTrailerError = Code("MalformedTrailerError")
        static let malformedXML = Code("MalformedXML")
        static let maxMessageLengthExceeded = Code("MaxMessageLengthExceeded")
        static let maxPostPreDataLengthExceeded = Code("MaxPostPreDataLengthExceeded")
        static let metadataTooLarge = Code("MetadataTooLarge")
        static let methodNotAllowed = Code("MethodNotAllowed", 405)
        static let missingContentLength = Code("MissingContentLength", 411)
        static let noSuchBucket = Code("NoSuchBucket", 404)
        static let noSuchBucketPolicy = Code("NoSuchBucketPolicy", 404)
        static let noSuchCORSConfiguration = Code("NoSuchCORSConfiguration", 404)
        static let noSuchKey = Code("NoSuchKey", 404)
        static let noSuchLifecycleConfiguration = Code("NoSuchLifecycleConfiguration", 404)
        static let noSuchObjectLockConfiguration = Code("NoSuchObjectLockConfiguration", 404)
        static let noSuchPublicAccessBlockConfiguration = Code("NoSuchPublicAccessBlockConfiguration", 404)
        static let noSuchTagSet = Code("NoSuchTagSet", 404)
        static let noSuchUpload = Code("NoSuchUpload", 404)
        static let noSuchVersion = Code("NoSuchVersion", 404)
        static let noSuchWebsiteConfiguration = Code("NoSuchWebsiteConfiguration", 404)
        static let notImplemented = Code("NotImplemented", 501)
        static let objectLockConfigurationNotFoundError = Code("ObjectLockConfigurationNotFoundError", 404)
        static let operationAborted = Code("OperationAborted", 409)
        static let ownershipControlsNotFoundError = Code("OwnershipControlsNotFoundError", 404)
        static let policyTooLarge = Code("PolicyTooLarge")
        static let preconditionFailed = Code("PreconditionFailed", 412)
        /// Of this store, where an operator sets how much may be kept.
        static let quotaExceeded = Code("QuotaExceeded", 403)
        static let replicationConfigurationNotFoundError = Code("ReplicationConfigurationNotFoundError", 404)
        static let requestTimeTooSkewed = Code("RequestTimeTooSkewed", 403)
        static let serverSideEncryptionConfigurationNotFoundError = Code("ServerSideEncryptionConfigurationNotFoundError", 404)
        static let signatureDoesNotMatch = Code("SignatureDoesNotMatch", 403)
        static let slowDown = Code("SlowDown", 503)
        static let tooManyBuckets = Code("TooManyBuckets")
        static let unresolvableGrantByEmailAddress = Code("UnresolvableGrantByEmailAddress")
        static let xAmzContentSHA256Mismatch = Code("XAmzContentSHA256Mismatch")
    }
}
