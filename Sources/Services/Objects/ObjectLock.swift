//  Object lock: versions that are kept until a time, or until somebody lets go of them (Amazon S3 User
//  Guide, "Locking objects with Object Lock").

import Authority
import Model
import ObjectStorage

extension ObjectsService {
    /// The longest retention.
    static let retentionDaysMax = 36_500

    /// - Throws: `invalidRetentionPeriod`; `wrongState` where the bucket does not keep versions.
    public func setLock(_ lock: ObjectLock, of name: String, by caller: Caller) async throws(Fault) {
        try await update(name, for: .putBucketObjectLock, by: caller) { settings throws(Fault) in
            try lock.standard?.check()
            guard settings.versioning == .enabled else {
                throw Fault(
                    .wrongState, "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration", kind: .bucket)
            }
            settings.lock = lock
        }
    }

    /// The retention of a version; nil where it has none.
    public func retention(of name: ObjectName, by caller: Caller) async throws(Fault) -> Retention? {
        try await lockable(name, for: .getRetention, by: caller).version.detail.retention
    }

    /// Gives a version a retention.
    ///
    /// - Parameter bypassing: Whether the caller wants to shorten what is retained in governance mode, or to change the mode.
    /// - Throws: `protected` where it would be shortened or changed and may not be.
    public func setRetention(
        _ retention: Retention?, of name: ObjectName, bypassing: Bool, by caller: Caller
    ) async throws(Fault) {
        let found = try await lockable(name, for: .putRetention, by: caller)
        if bypassing { try authorize(.bypassGovernance, on: found.bucket, key: name.key, by: caller) }
        let now = chance.now()
        if let retention { try retention.check(now: now) }
        try await revise(found, name.key, for: .putRetention, by: caller) { detail throws(Fault) in
            if let held = detail.retention, held.until > now, retention.map({ !$0.extends(held) }) ?? true {
                guard held.mode == .governance, bypassing else { throw Fault.locked }
            }
            detail.retention = retention
        }
    }

    public func isHeld(_ name: ObjectName, by caller: Caller) async throws(Fault) -> Bool? {
        try await lockable(name, for: .getLegalHold, by: caller).version.detail.isHeld
    }

    public func setHeld(_ isHeld: Bool, of name: ObjectName, by caller: Caller) async throws(Fault) {
        let found = try await lockable(name, for: .putLegalHold, by: caller)
        try await revise(found, name.key, for: .putLegalHold, by: caller) { detail throws(Fault) in detail.isHeld = isHeld }
    }

    /// A version in a bucket that has object lock.
    private func lockable(_ name: ObjectName, for action: ObjectAction, by caller: Caller) async throws(Fault) -> StoredObject {
        let found = try await object(name, for: action, by: caller)
        guard found.bucket.settings.lock != nil else {
            throw Fault.noLock
        }
        return found
    }
}

extension Bucket {
    /// Refuses what a new version may not be locked by.
    func checkLock(retention: Retention?, isHeld: Bool?, now: Instant) throws(Fault) {
        guard settings.lock != nil || (retention == nil && isHeld == nil) else { throw Fault.noLock }
        try retention?.check(now: now)
    }

    /// The retention of a version that is stored now and was given none; nil where the bucket gives none.
    func standardRetention(from now: Instant) -> Retention? {
        settings.lock?.standard.map { Retention(mode: $0.mode, until: now + .seconds($0.days * 86_400)) }
    }
}

extension ObjectLock.Default {
    private var unitDays: Int { unit == .years ? 365 : 1 }
    var days: Int { count * unitDays }

    fileprivate func check() throws(Fault) {
        guard count > 0 else {
            throw Fault(.invalidRetentionPeriod, "Default retention period must be a positive integer value.", kind: .bucket)
        }
        guard count <= ObjectsService.retentionDaysMax / unitDays else {
            throw Fault(.invalidRetentionPeriod, "Default retention period is too large.", kind: .bucket)
        }
    }
}

extension Fault.Code {
    /// A retention that a bucket is to give is none, or longer than any may be.
    public static let invalidRetentionPeriod = Fault.Code(rawValue: "invalidRetentionPeriod")
}

extension Retention {
    func check(now: Instant) throws(Fault) {
        guard until > now else {
            throw Fault(.invalidParameter, "The retain until date must be in the future!", kind: .object)
        }
    }

    /// Whether it is `other`, or `other` for longer: all that a retention may be made into without more ado.
    func extends(_ other: Retention) -> Bool { until >= other.until && mode == other.mode }
}

extension ObjectVersion {
    /// - Throws: `protected` where it is held or retained.
    func checkRemovable(now: Instant, bypassing: Bool) throws(Fault) {
        if detail.isHeld == true { throw Fault.locked }
        guard let retention = detail.retention, retention.until > now else { return }
        guard retention.mode == .governance, bypassing else { throw Fault.locked }
    }
}

extension Fault {
    static let noLock = Fault(.malformedRequest, "Bucket is missing Object Lock Configuration", kind: .bucket)

    static let locked = Fault(.protected, "Access Denied because object protected by object lock.", kind: .object)
}
