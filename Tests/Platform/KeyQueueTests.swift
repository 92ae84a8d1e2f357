//  The order of work by key.

import Platform
import Testing

@Suite struct KeyQueueTests {
    @Test func eachOnceAndAgainWhenWokenWhileItRuns() {
        var queue = KeyQueue<Int>()
        queue.add([1, 2, 1])
        #expect(queue.next(runningMax: 2) == 1)
        queue.add([1])
        #expect(queue.next(runningMax: 2) == 2)
        #expect(queue.next(runningMax: 2) == nil)
        queue.finished(1)
        #expect(queue.next(runningMax: 2) == 1)
        queue.finished(1)
        queue.finished(2)
        #expect(queue.next(runningMax: 2) == nil)
    }

    @Test func noMoreThanAllowed() {
        var queue = KeyQueue<Int>()
        queue.add([1, 2, 3])
        #expect(queue.next(runningMax: 1) == 1)
        #expect(queue.next(runningMax: 1) == nil)
        queue.finished(1)
        #expect(queue.next(runningMax: 1) == 2)
    }

    /// Past the point where what was handed out is dropped from the front.
    @Test func manyInOrder() {
        var queue = KeyQueue<Int>()
        queue.add(0..<5000)
        for number in 0..<5000 {
            #expect(queue.next(runningMax: 1) == number)
            queue.finished(number)
        }
        #expect(queue.next(runningMax: 1) == nil)
    }
}
