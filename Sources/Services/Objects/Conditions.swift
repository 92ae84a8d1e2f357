//  What a call may ask of the version that is there before it reads or replaces it.

import Model
import ObjectStorage

/// What must hold of a key's current version (RFC 9110, section 13.1).
public struct ObjectConditions: Sendable, Hashable {
    /// Entity tags without quotes, or `*`.
    public var match: [String]?
    public var noneMatch: [String]?
    /// Whole seconds, as HTTP's dates are.
    public var modifiedSince: Instant?
    public var unmodifiedSince: Instant?
    /// What a removal says of what it removes; of what is not there, nothing.
    public var size: Int64?
    /// Whole seconds.
    public var modified: Instant?

    public init() {}

    /// What a reader is told: nil to go on.
    enum Verdict {
        /// With the condition's name.
        case failed(String)
        case notModified
    }

    func verdict(on version: ObjectVersion) -> Verdict? {
        let modified = version.modified.seconds
        if let match {
            if !ObjectConditions.names(match, version.entityTag) { return .failed("If-Match") }
        } else if let unmodifiedSince, modified > unmodifiedSince.seconds {
            return .failed("If-Unmodified-Since")
        }
        if let noneMatch {
            if ObjectConditions.names(noneMatch, version.entityTag) { return .notModified }
        } else if let modifiedSince, modified <= modifiedSince.seconds {
            return .notModified
        }
        return nil
    }

    /// Checks what a writer says of what it replaces, which is read only then; a delete marker is nothing.
    func check(_ change: any KeyChange) throws(Fault) {
        guard match != nil || noneMatch != nil || size != nil || modified != nil else { return }
        let current = try change.current()
        let version = current?.body == nil ? nil : current
        if let size, let version, version.size != size { throw Fault.precondition("x-amz-if-match-size") }
        if let modified, let version, version.modified.seconds != modified.seconds {
            throw Fault.precondition("x-amz-if-match-last-modified-time")
        }
        if let noneMatch, let version, ObjectConditions.names(noneMatch, version.entityTag) {
            throw Fault.precondition("If-None-Match")
        }
        guard let match else { return }
        guard let version else { throw Fault.noObject }
        if !ObjectConditions.names(match, version.entityTag) { throw Fault.precondition("If-Match") }
    }

    private static func names(_ tags: [String], _ tag: String) -> Bool { tags.contains { $0 == "*" || $0 == tag } }
}

extension Fault {
    /// The field of a condition that does not hold.
    public static let conditionFact = "condition"

    /// - Parameter condition: Its field's name.
    static func precondition(_ condition: String) -> Fault {
        var fault = Fault(
            .preconditionFailed, "At least one of the pre-conditions you specified did not hold", kind: .object)
        fault.facts[conditionFact] = condition
        return fault
    }
}
