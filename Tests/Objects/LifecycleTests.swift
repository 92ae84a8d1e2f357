//  When lifecycle rules are due, and what a walk over versions decides.

import Model
import Testing

@testable import ObjectStorage
@testable import Objects

@Suite struct LifecycleTests {
    private static let day: Int64 = 86_400

    /// At the beginning of the day after so many days, wherever in a day they begin.
    @Test(
        arguments: [
            (0, 1, 1), (1, 1, 2), (86_399, 1, 2), (86_400, 1, 2), (86_401, 1, 3), (1_700_000_000, 30, 19_706), (0, 36_500, 36_500),
        ] as [(Int64, Int, Int64)])
    func due(seconds: Int64, days: Int, expected: Int64) {
        let due = LifecycleClock().due(Instant(seconds: seconds), days: days)
        #expect(due == Instant(seconds: expected * Self.day))
    }

    /// Days beyond all dates are no trap.
    @Test(arguments: [106_751_991, 106_751_992, Int(Int32.max), .max])
    func dueNever(days: Int) {
        #expect(LifecycleClock().due(Instant(seconds: 1_700_000_000), days: days) == LifecycleClock.latest)
        #expect(LifecycleClock().due(Instant(microseconds: .max), days: 1) == LifecycleClock.latest)
        #expect(LifecycleClock(day: .milliseconds(1)).due(Instant(seconds: 1), days: 2000) == Instant(seconds: 3))
    }

    private func version(
        _ key: String, _ id: UInt64, at seconds: Int64, isLatest: Bool = true, isMarker: Bool = false
    ) -> ListedObject {
        ListedObject(
            key: ObjectKey(key), size: 10, entityTag: "", modified: Instant(seconds: seconds), version: VersionID(bits: id),
            sequence: id, isDeleteMarker: isMarker, owner: nil, storageClass: nil, checksum: nil, isLatest: isLatest)
    }

    private func walk(
        _ rules: [LifecycleRule], at seconds: Int64, _ versions: [ListedObject]
    ) -> [(key: ObjectKey, action: LifecycleAction)] {
        var walk = LifecycleWalk(rules, clock: LifecycleClock(), now: Instant(seconds: seconds))
        return versions.flatMap { walk.take($0, tags: nil) } + walk.finish()
    }

    private func rule(_ change: (inout LifecycleRule) -> Void) -> LifecycleRule {
        var rule = LifecycleRule(id: "r", isEnabled: true, filter: LifecycleRule.Filter(form: .filter))
        change(&rule)
        return rule
    }

    /// Current versions expire, the others go so long after what took their place, and a marker that hides nothing goes too.
    @Test func versions() {
        let rule = rule {
            $0.expiration = .days(10)
            $0.noncurrentDays = 5
            $0.noncurrentKept = 1
        }
        let versions = [
            version("a", 3, at: 0), version("b", 9, at: 9 * Self.day),
            version("c", 8, at: 8 * Self.day), version("c", 7, at: 2 * Self.day, isLatest: false),
            version("c", 6, at: Self.day, isLatest: false), version("d", 5, at: 0, isMarker: true),
            version("e", 4, at: 0, isMarker: true), version("e", 2, at: 0, isLatest: false),
        ]
        let found = walk([rule], at: 10 * Self.day, versions)
        #expect(found.map(\.key) == [ObjectKey("a"), ObjectKey("c"), ObjectKey("d")])
        #expect(
            found.map(\.action) == [.expire(VersionID(bits: 3)), .remove(VersionID(bits: 6)), .remove(VersionID(bits: 5))])
        #expect(walk([self.rule { $0.isEnabled = false }], at: 1000 * Self.day, versions).isEmpty)
    }

    /// A rule may say that markers stay, and nothing else.
    @Test func markersThatStay() {
        let rule = rule { $0.expiration = .notMarkers }
        let versions = [version("a", 2, at: 0), version("b", 1, at: 0, isMarker: true)]
        #expect(walk([rule], at: 1000 * Self.day, versions).isEmpty)
    }

    /// A walk decides the same whichever other keys lie around one.
    @Test func filters() {
        let rule = rule {
            $0.expiration = .days(1)
            $0.filter.prefix = "logs/"
            $0.filter.greaterThan = 9
            $0.filter.lessThan = 11
        }
        let found = walk(
            [rule], at: 2 * Self.day, [version("a", 1, at: 0), version("logs/a", 2, at: 0), version("logt", 3, at: 0)])
        #expect(found.map(\.key) == [ObjectKey("logs/a")])
    }
}
