//  What a request's address is about: the service, a bucket or an object, by its path or by its host.

import AWSProtocol
import ObjectStorage

/// What a request's address names.
enum S3Target: Sendable, Hashable {
    case service
    case bucket(String)
    case object(String, ObjectKey)

    /// - Parameters:
    ///   - path: As sent; the key is what its percent-encoding stands for.
    ///   - host: The bucket that the Host header names, where it names one: the path is then the key.
    init(path: String, host: String? = nil) throws(S3Error) {
        guard path.hasPrefix("/") else { throw .malformedAddress }
        if let host {
            let key = S3Query.decoded(path.utf8.dropFirst(), plusIsSpace: false)
            guard key.isEmpty || ObjectKey.canBe(key) else { throw .malformedAddress }
            self = key.isEmpty ? .bucket(host) : .object(host, ObjectKey(bytes: key))
            return
        }
        let parts = path.utf8.dropFirst().split(separator: UInt8(ascii: "/"), maxSplits: 1, omittingEmptySubsequences: false)
        let bucket = S3Query.decoded(parts[0], plusIsSpace: false)
        if bucket.isEmpty {
            self = .service
        } else if parts.count == 2, !parts[1].isEmpty {
            let key = S3Query.decoded(parts[1], plusIsSpace: false)
            guard ObjectKey.canBe(key) else { throw .malformedAddress }
            self = .object(String(decoding: bucket, as: UTF8.self), ObjectKey(bytes: key))
        } else {
            self = .bucket(String(decoding: bucket, as: UTF8.self))
        }
    }
}

extension ObjectKey {
    /// Whether an address can name such a key: text, and none that no answer could carry.
    fileprivate static func canBe(_ key: [UInt8]) -> Bool {
        String(validating: key, as: UTF8.self) != nil && !key.contains(0)
    }

    /// As addresses have it: percent-encoded, but for its slashes.
    var path: String { PercentEncoding.encoded(bytes, keepsSlashes: true) }
}
