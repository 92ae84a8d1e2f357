//  What `karri objects` makes of the store's answers.

import Fabric
import Foundation
import Model
import Testing

@testable import CommandLine

struct ObjectsCommandTests {
    private typealias Check = ObjectsCommand.Check

    /// Whatever an earlier round read and found, a round that failed is no finding.
    @Test func aFailedScrubIsNoGoodNews() {
        let reply = ListDamageReply.with {
            $0.rounds = 2
            $0.versions = 7
            $0.failure = "first/k could not be read\u{1b}[2J"
        }
        let fault = #expect(throws: Fault.self) { try Check.damage(in: reply) }
        #expect(fault?.code == .storage)
        #expect(fault?.message == "not everything was read: first/k could not be read\\u{1B}[2J")
    }

    @Test func damageIsToldALineEach() throws {
        let reply = ListDamageReply.with {
            $0.objects = [
                DamagedObject.with {
                    $0.bucket = "first"
                    $0.key = Data("a\nb".utf8)
                    $0.version = "null"
                    $0.fault = "it is gone"
                }
            ]
        }
        #expect(try Check.damage(in: reply) == ["first/a\\u{A}b, version null: it is gone"])
        #expect(try Check.damage(in: ListDamageReply()).isEmpty)
    }

    @Test func nobodyWaitsForAScrubThatIsPaused() throws {
        let fault = #expect(throws: Fault.self) { try Check.requireWork(ListDamageReply.with { $0.paused = true }) }
        #expect(fault?.code == .wrongState && fault?.message.contains("karri objects resume scrub") == true)
        try Check.requireWork(ListDamageReply())
    }
}
