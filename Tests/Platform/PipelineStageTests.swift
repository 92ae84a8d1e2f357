//  Steps are made in order, beside who feeds them, and nobody gets further ahead than one.

import Dispatch
import Synchronization
import Testing

@testable import Platform

@Suite struct PipelineStageTests {
    @Test func stepsAreMadeInOrder() async {
        let stage = PipelineStage<[Int]>([])
        let queue = DispatchQueue(label: "steps", attributes: .concurrent)
        for number in 0..<1000 {
            let before = await stage.value()
            #expect(before.count == number)
            stage.begin { done in queue.async { done(before + [number]) } }
        }
        #expect(await stage.value() == Array(0..<1000))
    }

    /// Who feeds it goes on while the step is made, and waits for it only to begin another.
    @Test func aStepGoesOnBeside() async {
        let stage = PipelineStage(0)
        let end = Mutex<(@Sendable (Int) -> Void)?>(nil)
        stage.begin { done in end.withLock { $0 = done } }
        // Nothing has ended the step, and this is reached.
        async let value = stage.value()
        end.withLock { $0 }?(7)
        #expect(await value == 7)
        #expect(await stage.value() == 7)
    }
}
