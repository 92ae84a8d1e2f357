//  What headers say of encryption at rest.

import Crypto
import FoundationEssentials
import HTTPTypes
import Hummingbird
import ObjectStorage
import Objects

/// Whose key a client brings.
enum CustomerKeyPlace: String {
    case object = "x-amz-server-side-encryption-customer-"
    /// Of what is copied.
    case source = "x-amz-copy-source-server-side-encryption-customer-"
}

extension Request {
    /// How an object is to be encrypted; nil where the client leaves it to the bucket.
    func requestedEncryption() throws -> RequestedEncryption? {
        let method = headers[.encryption]
        if let customer = try customerKey() {
            guard method == nil else {
                throw S3Error.invalidArgument(
                    "Server Side Encryption with Customer provided key is incompatible with the encryption method specified")
            }
            return .customer(customer)
        }
        let key = headers[.encryptionKey]
        switch method {
        case "aws:kms": return .keyService(key, usesBucketKey: headers[.bucketKeyEnabled].map { $0.lowercased() == "true" })
        case "AES256", nil:
            guard key == nil else {
                throw S3Error.invalidArgument(
                    "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms")
            }
            return method == nil ? nil : .store
        case "aws:kms:dsse": throw S3Error.notImplemented("aws:kms:dsse")
        default: throw S3Error.invalidArgument("The encryption method specified is not supported")
        }
    }

    /// The key that the client brings; nil where it brings none.
    func customerKey(_ place: CustomerKeyPlace = .object) throws -> CustomerKey? {
        let names = ["algorithm", "key", "key-md5"].map { place.rawValue + $0 }
        let values = names.map { header($0) }
        guard values.contains(where: { $0 != nil }) else { return nil }
        let missing = "Requests specifying Server Side Encryption with Customer provided keys must provide"
        guard let algorithm = values[0] else {
            throw S3Error.invalidArgument("\(missing) a valid encryption algorithm.")
        }
        guard algorithm == "AES256" else {
            throw S3Error(
                .invalidEncryptionAlgorithmError, "The encryption request you specified is not valid. The valid value is AES256.")
        }
        guard let text = values[1], let bytes = Data(base64Encoded: text) else {
            throw S3Error.invalidArgument("\(missing) an appropriate secret key.")
        }
        guard let stated = values[2] else {
            throw S3Error.invalidArgument("\(missing) the client calculated MD5 of the secret key.")
        }
        let key = try CustomerKey(Array(bytes))
        guard Data(Insecure.MD5.hash(data: bytes)).base64EncodedString() == stated else {
            throw S3Error.invalidArgument("The calculated MD5 hash of the key did not match the hash that was provided.")
        }
        return key
    }
}

extension S3Responder {
    /// Says how an object is encrypted.
    func describe(_ encryption: ObjectEncryption?, _ request: Request, in fields: inout HTTPFields) {
        switch encryption?.method {
        case nil: break
        case .store: fields[.encryption] = "AES256"
        case .keyService(let key):
            fields[.encryption] = "aws:kms"
            fields[.encryptionKey] = key
            if encryption?.usesBucketKey == true { fields[.bucketKeyEnabled] = "true" }
        case .customer:
            fields[.customerAlgorithm] = "AES256"
            fields[.customerKeyMD5] = request.headers[.customerKeyMD5]
        }
    }
}
