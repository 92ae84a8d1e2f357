//  What lifecycle rules say of versions: a pure walk over a bucket's versions in order, which needs to
//  remember only the key it is at (Amazon S3 User Guide, "Lifecycle configuration elements").

import Model
import ObjectStorage

/// How long a day is, and when one begins.
public struct LifecycleClock: Sendable, Hashable {
    public static let standardDay = Duration.seconds(86_400)

    public let day: Duration

    /// - Parameter day: Shorter ones are for tests.
    public init(day: Duration = LifecycleClock.standardDay) { self.day = day }

    private var dayMicroseconds: Int64 { max(1, Int64(day / .microseconds(1))) }

    /// 9999-12-31T23:59:59Z: later ones have no date with a year of four digits.
    static let latest = Instant(seconds: 253_402_300_799)

    /// When so many days after an instant have passed: at the beginning of the next day, `latest` at the latest.
    public func due(_ instant: Instant, days: Int) -> Instant {
        let (span, isBeyond) = Int64(days).multipliedReportingOverflow(by: dayMicroseconds)
        guard !isBeyond, span < LifecycleClock.latest.microseconds, instant < LifecycleClock.latest else {
            return LifecycleClock.latest
        }
        let passed = instant.microseconds + span
        let rest = passed % dayMicroseconds
        let begun = Instant(microseconds: rest == 0 ? passed : passed - rest + dayMicroseconds)
        return min(begun, LifecycleClock.latest)
    }
}

/// What is to be done with a version.
enum LifecycleAction: Sendable, Hashable {
    /// It is the current one, and its time is over.
    case expire(VersionID)
    /// It is not the current one, or a delete marker behind which nothing is left.
    case remove(VersionID)
}

extension LifecycleRule.Filter {
    /// Whether a rule is about versions of a key and a size; what it says of tags is `covers(tags:)`.
    func covers(_ key: ObjectKey, size: Int64) -> Bool {
        if let prefix, !key.bytes.starts(with: prefix.utf8) { return false }
        if let greaterThan, size <= greaterThan { return false }
        if let lessThan, size >= lessThan { return false }
        return true
    }

    func covers(tags given: [String: String]?) -> Bool { tags.allSatisfy { given?[$0.key] == $0.value } }
}

/// The walk.
struct LifecycleWalk {
    private let rules: [LifecycleRule]
    private let clock: LifecycleClock
    private let now: Instant

    private var key: ObjectKey?
    /// When the version came that stands before the next one.
    private var successor: Instant?
    /// How many versions of the key that are not current were seen.
    private var noncurrent = 0
    /// A delete marker that is the current version, while nothing else of its key was seen.
    private var marker: ListedObject?

    init(_ rules: [LifecycleRule], clock: LifecycleClock, now: Instant) {
        self.rules = rules.filter(\.isEnabled)
        self.clock = clock
        self.now = now
    }

    /// Whether any rule asks for tags.
    var needsTags: Bool { rules.contains { !$0.filter.tags.isEmpty } }

    /// Takes the next version, in the order of a listing of all of them.
    ///
    /// - Returns: What is now known to be done.
    mutating func take(_ version: ListedObject, tags: [String: String]?) -> [(key: ObjectKey, action: LifecycleAction)] {
        var actions: [(key: ObjectKey, action: LifecycleAction)] = []
        if version.key != key {
            actions = finish()
            (key, successor, noncurrent) = (version.key, nil, 0)
        }
        marker = nil
        let covering = rules.filter { $0.filter.covers(version.key, size: version.size) && $0.filter.covers(tags: tags) }
        if version.isLatest {
            if version.isDeleteMarker {
                marker = version
            } else if covering.contains(where: { isOver(version, $0) }) {
                actions.append((version.key, .expire(version.version)))
            }
        } else {
            if let successor, covering.contains(where: { isOver(since: successor, $0) }) {
                actions.append((version.key, .remove(version.version)))
            }
            noncurrent += 1
        }
        successor = version.modified
        return actions
    }

    /// To be called after the last version.
    mutating func finish() -> [(key: ObjectKey, action: LifecycleAction)] {
        defer { marker = nil }
        guard let marker, rules.contains(where: { removesMarker(marker, $0) }) else { return [] }
        return [(marker.key, .remove(marker.version))]
    }

    private func isOver(_ version: ListedObject, _ rule: LifecycleRule) -> Bool {
        switch rule.expiration {
        case .days(let days): clock.due(version.modified, days: days) <= now
        case .date(let date): date <= now
        case .markers, .notMarkers, nil: false
        }
    }

    private func isOver(since successor: Instant, _ rule: LifecycleRule) -> Bool {
        guard let days = rule.noncurrentDays, noncurrent >= rule.noncurrentKept ?? 0 else { return false }
        return clock.due(successor, days: days) <= now
    }

    private func removesMarker(_ marker: ListedObject, _ rule: LifecycleRule) -> Bool {
        guard rule.filter.tags.isEmpty, rule.filter.prefix.map({ marker.key.bytes.starts(with: $0.utf8) }) ?? true else {
            return false
        }
        switch rule.expiration {
        case .markers: return true
        case .days(let days): return clock.due(marker.modified, days: days) <= now
        case .date, .notMarkers, nil: return false
        }
    }
}

extension BucketSettings {
    /// When rules say that a new current version will expire, and which rule does.
    func expiry(of key: ObjectKey, _ version: ObjectVersion, clock: LifecycleClock) -> (when: Instant, rule: String)? {
        let dates = (lifecycle ?? []).compactMap { rule -> (when: Instant, rule: String)? in
            guard rule.isEnabled, rule.filter.covers(key, size: version.size), rule.filter.covers(tags: version.detail.tags) else {
                return nil
            }
            switch rule.expiration {
            case .days(let days): return (clock.due(version.modified, days: days), rule.id)
            case .date(let date): return (date, rule.id)
            case .markers, .notMarkers, nil: return nil
            }
        }
        return dates.min { $0.when < $1.when }
    }
}
