import Model
import Testing

@testable import Supervisor

/// The decisions alone, told what happens and when.
@Suite struct SupervisionTests {
    private func supervision(_ names: String..., policy: RestartPolicy = RestartPolicy()) -> Supervision {
        Supervision(names.map { ChildSpecification(name: $0, program: "/bin/true") }, policy: policy)
    }

    @Test func startsInOrderEachWhenTheOneBeforeIsUp() {
        var run = supervision("a", "b")
        #expect(run.advance(at: .zero) == [.spawn(0)])
        #expect(run.advance(at: .seconds(1)) == [])
        run.handle(.becameReady(0), at: .seconds(2))
        #expect(run.advance(at: .seconds(2)) == [.spawn(1)])
        #expect(!run.isReady)
        run.handle(.becameReady(1), at: .seconds(3))
        #expect(run.isReady)
        #expect(run.nextDeadline == nil)
    }

    @Test func restartOfOneLeavesTheOthers() {
        var run = supervision("a", "b")
        _ = run.advance(at: .zero)
        run.handle(.becameReady(0), at: .zero)
        _ = run.advance(at: .zero)
        run.handle(.becameReady(1), at: .zero)
        run.handle(.ended(0, .signal(11)), at: .seconds(1))
        #expect(run.advance(at: .seconds(1)) == [])
        #expect(run.nextDeadline == .milliseconds(1200))
        #expect(run.advance(at: .milliseconds(1200)) == [.spawn(0)])
        #expect(run.children[0].restarts == 1)
        #expect(run.children[1].restarts == 0)
    }

    @Test func pausesDoubleAreBoundedAndForgotten() {
        let policy = RestartPolicy(firstPause: .seconds(1), longestPause: .seconds(5), healthyAfter: .seconds(60))
        #expect([1, 2, 3, 4, 5, 1000].map { policy.pause(afterFailures: $0) } == [1, 2, 4, 5, 5, 5].map { .seconds($0) })
        var run = supervision("a", policy: policy)
        var now = Duration.zero
        for pause in [1, 2, 4, 5, 5] {
            #expect(run.advance(at: now) == [.spawn(0)])
            run.handle(.becameReady(0), at: now)
            run.handle(.ended(0, .code(1)), at: now)
            now += .seconds(pause)
            #expect(run.nextDeadline == now)
        }
        #expect(run.advance(at: now) == [.spawn(0)])
        run.handle(.becameReady(0), at: now)
        now += .seconds(60)
        run.handle(.ended(0, .code(1)), at: now)
        #expect(run.nextDeadline == now + .seconds(1))
        #expect(run.failure == nil, "what was up once is started again for ever")
    }

    @Test func givesUpWhatNeverComesUpAndStopsTheRest() {
        var run = supervision("a", "b", policy: RestartPolicy(startFailuresMax: 2))
        _ = run.advance(at: .zero)
        run.handle(.becameReady(0), at: .zero)
        #expect(run.advance(at: .zero) == [.spawn(1)])
        run.handle(.ended(1, .notStarted("no such file")), at: .zero)
        #expect(run.failure == nil)
        #expect(run.advance(at: .seconds(1)) == [.spawn(1)])
        run.handle(.ended(1, .code(3)), at: .seconds(1))
        #expect(run.failure?.message.contains("b did not come up in 2 attempts; it ended with status 3") == true)
        #expect(run.advance(at: .seconds(1)) == [.terminate(0)])
        run.handle(.ended(0, .code(0)), at: .seconds(2))
        #expect(run.advance(at: .seconds(2)) == [])
        #expect(run.isFinished)
    }

    @Test func killsWhatIsNotUpInTime() {
        var run = supervision("a")
        #expect(run.advance(at: .zero) == [.spawn(0)])
        #expect(run.nextDeadline == .seconds(30))
        #expect(run.advance(at: .seconds(30)) == [.kill(0)])
        #expect(run.advance(at: .seconds(31)) == [], "it is killed once")
        run.handle(.becameReady(0), at: .seconds(31))
        run.handle(.ended(0, .signal(9)), at: .seconds(32))
        #expect(run.children[0].failuresInARow == 1)
        #expect(!run.children[0].wasReady, "readiness after the deadline does not count")
    }

    @Test func stopsInTheOppositeOrderWithDeadlines() {
        var run = supervision("a", "b", "c")
        for index in 0..<2 {
            _ = run.advance(at: .zero)
            run.handle(.becameReady(index), at: .zero)
        }
        _ = run.advance(at: .zero)
        run.handle(.stop, at: .zero)
        #expect(run.advance(at: .zero) == [.terminate(2)], "even one that is still starting")
        #expect(run.advance(at: .seconds(5)) == [])
        #expect(run.advance(at: .seconds(10)) == [.kill(2)])
        #expect(run.advance(at: .seconds(11)) == [])
        run.handle(.ended(2, .signal(9)), at: .seconds(11))
        #expect(run.advance(at: .seconds(11)) == [.terminate(1)])
        run.handle(.ended(1, .code(0)), at: .seconds(12))
        #expect(run.advance(at: .seconds(12)) == [.terminate(0)])
        run.handle(.ended(0, .code(0)), at: .seconds(13))
        #expect(run.advance(at: .seconds(13)) == [])
        #expect(run.isFinished)
        #expect(run.failure == nil)
    }

    @Test func stopWhilePausingStartsNothing() {
        var run = supervision("a")
        _ = run.advance(at: .zero)
        run.handle(.ended(0, .code(1)), at: .zero)
        run.handle(.stop, at: .zero)
        #expect(run.advance(at: .seconds(99)) == [])
        #expect(run.isFinished)
    }

    /// Whatever happens in whatever order: no child runs twice, and a stop ends.
    @Test func randomEvents() { (0..<2000).forEach(randomEvents) }

    private func randomEvents(seed: UInt64) {
        var dice = Dice(seed: seed)
        var run = supervision("a", "b", "c", policy: RestartPolicy(startFailuresMax: 3))
        var alive: Set<Int> = []
        var now = Duration.zero
        func act() {
            for action in run.advance(at: now) {
                switch action {
                case .spawn(let index): #expect(alive.insert(index).inserted, "seed \(seed)")
                case .terminate(let index): #expect(alive.contains(index), "seed \(seed)")
                case .kill(let index):
                    #expect(alive.remove(index) != nil, "seed \(seed)")
                    run.handle(.ended(index, .signal(9)), at: now)
                }
            }
            // A deadline that has passed and is nobody's would end every wait at once.
            if let deadline = run.nextDeadline { #expect(deadline > now, "seed \(seed)") }
        }
        for _ in 0..<200 {
            act()
            now += .milliseconds(Int.random(in: 0..<20_000, using: &dice))
            guard let index = alive.sorted().randomElement(using: &dice) else { continue }
            if Bool.random(using: &dice) {
                run.handle(.becameReady(index), at: now)
            } else {
                alive.remove(index)
                run.handle(.ended(index, .code(1)), at: now)
            }
        }
        run.handle(.stop, at: now)
        for _ in 0..<40 {
            act()
            now += .seconds(5.5)
        }
        #expect(run.isFinished, "seed \(seed)")
        #expect(alive.isEmpty, "seed \(seed)")
    }
}
