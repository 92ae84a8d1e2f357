//  How much buckets and accounts hold, and how much their operator lets them hold.

import Authority
import Model
import ObjectStorage

/// What a bucket holds, as its operator is shown it.
public struct BucketUse: Sendable, Hashable {
    public var bucket: String
    /// Twelve digits; "" of an account that is not known any more.
    public var account: String
    public var usage: BucketUsage
    public var unfinished: UnfinishedUploads
    /// Nil: as many as there is room for.
    public var bytesMax: Int64?
}

extension ObjectsService {
    /// How many buckets are read at once.
    private static let bucketsAtOnce = 1000

    // MARK: The operator

    /// What lies in each bucket of all accounts, by their names.
    public func useOfBuckets() async throws(Fault) -> [BucketUse] {
        var uses: [BucketUse] = []
        var after = ""
        while true {
            let page = try await backend.buckets(after: after, limit: ObjectsService.bucketsAtOnce)
            guard let last = page.last else { return uses }
            after = last.name
            for bucket in page {
                uses.append(
                    BucketUse(
                        bucket: bucket.name, account: try await accounts.account(bucket.account)?.number ?? "",
                        usage: try await backend.usage(of: bucket), unfinished: try await backend.unfinished(in: bucket),
                        bytesMax: bucket.settings.bytesMax))
            }
        }
    }

    /// Sets how many bytes a bucket may hold.
    ///
    /// - Parameter bytesMax: Nil: as many as there is room for.
    /// - Throws: `notFound`; `invalidParameter`.
    public func setQuota(_ bytesMax: Int64?, ofBucket name: String) async throws(Fault) {
        try ObjectsService.checkQuota(bytesMax)
        guard let bucket = try await backend.bucket(named: name) else {
            throw Fault(.notFound, "there is no bucket \(name)", kind: .bucket)
        }
        try await backend.update(bucket) { settings throws(Fault) in settings.bytesMax = bytesMax }
    }

    /// Sets how many bytes all buckets of an account may hold together.
    ///
    /// - Parameters:
    ///   - bytesMax: Nil: as many as there is room for.
    ///   - number: Twelve digits.
    /// - Throws: `notFound`; `invalidParameter`.
    public func setQuota(_ bytesMax: Int64?, ofAccount number: String) async throws(Fault) {
        try ObjectsService.checkQuota(bytesMax)
        try await backend.setBytesMax(bytesMax, of: try await account(number: number).id)
    }

    private static func checkQuota(_ bytesMax: Int64?) throws(Fault) {
        guard let bytesMax, bytesMax < 1 else { return }
        throw Fault(.invalidParameter, "a limit is at least one byte, not \(bytesMax)")
    }

    // MARK: What is about to be kept

    /// Refuses what an account has no more room for. Uploads that run side by side may go a little beyond it.
    func checkQuota(of account: ID<Account>, adding bytes: Int64) async throws(Fault) {
        guard let most = backend.bytesMax(of: account) else { return }
        guard try await backend.usage(of: account).bytes + bytes > most else { return }
        throw Fault(.quotaExceeded, "The account may hold \(most) bytes.", kind: .account)
    }
}

extension Bucket {
    /// - Throws: `quotaExceeded` where more lies in the bucket than may.
    func checkQuota(_ usage: BucketUsage, adding bytes: Int64) throws(Fault) {
        guard let most = settings.bytesMax, bytes > 0, usage.bytes > most else { return }
        throw Fault(.quotaExceeded, "The bucket may hold \(most) bytes.", kind: .bucket)
    }
}

extension Fault.Code {
    /// More would be kept than the operator allows.
    public static let quotaExceeded = Fault.Code(rawValue: "quotaExceeded")
}
