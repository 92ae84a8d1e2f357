//  Buckets: made, found, listed and removed.

import Authority
import Model
import ObjectStorage

extension ObjectsService {
    /// Makes a bucket.
    ///
    /// - Returns: The bucket, and whether it was the caller's own already.
    /// - Throws: `invalidParameter` for a name that buckets cannot have; `alreadyExists` where another
    ///   account has the name.
    public func createBucket(named name: String, by session: Session) async throws(Fault) -> (bucket: Bucket, wasThere: Bool) {
        let permit = try session.authorizeAll(Action.createBucket, on: ObjectsService.name(of: name))
        try BucketName.check(name)
        let bucket = Bucket(id: chance.id(), name: name, account: permit.id, region: region, created: chance.now())
        if let made = try await backend.add(bucket) { return (made, false) }
        guard let there = try await backend.bucket(named: name) else {
            throw Fault(.conflict, "The bucket is being made or removed by another call.", kind: .bucket)
        }
        guard there.account == permit.id else {
            throw Fault(.alreadyExists, "The requested bucket name is not available.", kind: .bucket)
        }
        return (there, true)
    }

    /// The buckets of the caller's account, by name.
    public func buckets(by session: Session) async throws(Fault) -> [Bucket] {
        let permit = try session.authorizeAll(Action.listAllMyBuckets)
        return try await backend.buckets(of: permit.id)
    }

    /// A bucket that the caller may list.
    public func bucket(named name: String, by session: Session) async throws(Fault) -> Bucket {
        try await bucket(name, for: .listBucket, by: session)
    }

    public func location(of name: String, by session: Session) async throws(Fault) -> String {
        try await bucket(name, for: .bucketLocation, by: session).region
    }

    /// - Throws: `inUse` while anything is in it.
    public func deleteBucket(named name: String, by session: Session) async throws(Fault) {
        try await backend.remove(try await bucket(name, for: .deleteBucket, by: session))
    }
}

/// Which names buckets may have (S3 User Guide, "General purpose bucket naming rules").
enum BucketName {
    static func check(_ name: String) throws(Fault) {
        guard isValid(Array(name.utf8)) else {
            throw Fault(.invalidParameter, "The specified bucket is not valid.", kind: .bucket)
        }
    }

    private static func isValid(_ name: [UInt8]) -> Bool {
        guard (3...63).contains(name.count), name.allSatisfy({ isLetterOrDigit($0) || $0 == dot || $0 == dash }) else {
            return false
        }
        let labels = name.split(separator: dot, omittingEmptySubsequences: false)
        guard labels.allSatisfy({ $0.first.map(isLetterOrDigit) == true && $0.last.map(isLetterOrDigit) == true }) else {
            return false
        }
        // Formatted as an address.
        if labels.count == 4, labels.allSatisfy({ $0.allSatisfy { (0x30...0x39).contains($0) } }) { return false }
        let text = String(decoding: name, as: UTF8.self)
        return !reservedPrefixes.contains(where: text.hasPrefix) && !reservedSuffixes.contains(where: text.hasSuffix)
    }

    private static let dot = UInt8(ascii: ".")
    private static let dash = UInt8(ascii: "-")
    private static let reservedPrefixes = ["xn--", "sthree-", "amzn-s3-demo-"]
    private static let reservedSuffixes = ["-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"]

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte) }
}
