//  Encryption at rest: each object has a key of its own, which is kept sealed by the store's key, by a key
//  of the key service, or by the client's (Amazon S3 User Guide, "Protecting data with encryption").

import Authority
import Crypto
import FoundationEssentials
import Model
import ObjectStorage

/// How a client wants an object encrypted.
public enum RequestedEncryption: Sendable, Hashable {
    case store
    /// With the key's name, or nil for the account's own.
    case keyService(String?, usesBucketKey: Bool?)
    case customer(CustomerKey)
}

/// A key that a client brings.
public struct CustomerKey: Sendable, Hashable {
    public static let bytes = 32

    let key: SymmetricKey

    /// - Throws: `invalidParameter` unless it has 32 bytes.
    public init(_ bytes: [UInt8]) throws(Fault) {
        guard bytes.count == CustomerKey.bytes else {
            throw Fault(.invalidParameter, "The secret key was invalid for the specified algorithm.", kind: .object)
        }
        key = SymmetricKey(data: bytes)
    }

    public static func == (left: CustomerKey, right: CustomerKey) -> Bool { left.key == right.key }
    public func hash(into hasher: inout Hasher) { key.withUnsafeBytes { hasher.combine(bytes: $0) } }
}

/// Keys that seal other keys, and do not leave.
public protocol KeyService: Sendable {
    /// The full name of a key of an account; nil names the account's own for S3, which is made when it is first wanted.
    ///
    /// - Throws: `notFound` or `wrongState` of a `key`.
    func name(of key: String?, for account: AccountScope) async throws(Fault) -> String
    func seal(_ secret: [UInt8], under key: String, belonging: String) async throws(Fault) -> [UInt8]
    func open(_ sealed: [UInt8], under key: String, belonging: String) async throws(Fault) -> [UInt8]
}

/// What a body is sealed with, and what is kept with it.
struct BodyEncryption: Sendable {
    var key: SymmetricKey
    var kept: ObjectEncryption
}

extension ObjectsService {
    /// Makes the key of a new object; nil where it is not to be encrypted.
    func encryption(
        _ asked: RequestedEncryption?, of key: ObjectKey, in bucket: Bucket, by caller: Caller
    ) async throws(Fault) -> BodyEncryption? {
        let standard = bucket.settings.encryption
        let method: EncryptionMethod
        var usesBucketKey = standard?.usesBucketKey ?? false
        switch asked {
        case .store: method = .store
        case .keyService(let name, let uses):
            method = .keyService(name)
            usesBucketKey = uses ?? usesBucketKey
        case .customer: method = .customer
        case nil:
            guard let standard else { return nil }
            method = standard.method
        }
        let secret = randomBytes(CustomerKey.bytes, chance)
        let belonging = ObjectsService.belonging(key, bucket)
        switch method {
        case .store:
            let sealed = try seal.seal(secret, belonging: belonging, chance: chance)
            return BodyEncryption(
                key: SymmetricKey(data: secret),
                kept: ObjectEncryption(method: .store, sealedKey: Data(sealed).base64EncodedString()))
        case .keyService(let asked):
            guard let owner = caller.session.account else { throw Fault.accessDenied }
            let name = try await keys.name(of: asked, for: owner)
            let sealed = try await keys.seal(secret, under: name, belonging: belonging)
            return BodyEncryption(
                key: SymmetricKey(data: secret),
                kept: ObjectEncryption(
                    method: .keyService(name), usesBucketKey: usesBucketKey, sealedKey: Data(sealed).base64EncodedString()))
        case .customer:
            guard case .customer(let customer)? = asked else { throw Fault(.internalError, "A client's key is not there.") }
            do {
                let box = try AES.GCM.seal(secret, using: customer.key, authenticating: Data(belonging.utf8))
                return BodyEncryption(
                    key: SymmetricKey(data: secret),
                    kept: ObjectEncryption(method: .customer, sealedKey: (box.combined ?? Data()).base64EncodedString()))
            } catch { throw Fault(.internalError, "A key could not be sealed.", because: error) }
        }
    }

    /// The key of a stored object; nil where it is not encrypted.
    ///
    /// - Parameters:
    ///   - customer: The key that the client brings.
    ///   - mismatch: What is thrown where it is another.
    /// - Throws: `malformedRequest` where the client's key is missing or is none that it needs.
    func key(
        of kept: ObjectEncryption?, _ key: ObjectKey, in bucket: Bucket, customer: CustomerKey?,
        mismatch: Fault = .accessDenied
    ) async throws(Fault) -> SymmetricKey? {
        guard customer == nil || kept?.method == .customer else {
            throw Fault(.malformedRequest, "The encryption parameters are not applicable to this object.", kind: .object)
        }
        guard let kept else { return nil }
        let belonging = ObjectsService.belonging(key, bucket)
        let sealed = Data(base64Encoded: kept.sealedKey) ?? Data()
        switch kept.method {
        case .store: return SymmetricKey(data: try seal.open(Array(sealed), belonging: belonging))
        case .keyService(let name):
            return SymmetricKey(data: try await keys.open(Array(sealed), under: name ?? "", belonging: belonging))
        case .customer:
            guard let customer else {
                throw Fault(
                    .malformedRequest,
                    "The object was stored using a form of Server Side Encryption. The correct parameters must be provided to "
                        + "retrieve the object.", kind: .object)
            }
            do {
                let box = try AES.GCM.SealedBox(combined: sealed)
                return SymmetricKey(data: try AES.GCM.open(box, using: customer.key, authenticating: Data(belonging.utf8)))
            } catch { throw mismatch }
        }
    }

    /// How many bytes of a version lie in the backend.
    func storedLength(of found: StoredObject, _ body: BodyReference) async throws(Fault) -> Int64 {
        guard found.version.detail.encryption != nil else { return found.version.size }
        guard found.version.detail.parts != nil else { return SealedBytes.sealedLength(of: found.version.size) }
        return try await backend.pieces(of: body, in: found.bucket).reduce(0) { $0 + $1.size }
    }

    private static func belonging(_ key: ObjectKey, _ bucket: Bucket) -> String { "object/\(bucket.id.hex)/\(key)" }
}
