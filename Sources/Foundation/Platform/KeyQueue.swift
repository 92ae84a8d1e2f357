//  The order of work by key: each key waits once, whatever wakes it, and never runs beside itself.

/// Keys that wait for their turn. One that is added while it runs is run once more after.
public struct KeyQueue<Key: Hashable & Sendable>: Sendable {
    private var waiting: [Key] = []
    private var head = 0
    private var queued: Set<Key> = []
    private var running: Set<Key> = []
    private var again: Set<Key> = []

    public init() {}

    public mutating func add(_ keys: some Sequence<Key>) {
        for key in keys {
            if running.contains(key) {
                again.insert(key)
            } else if queued.insert(key).inserted {
                waiting.append(key)
            }
        }
    }

    public mutating func finished(_ key: Key) {
        running.remove(key)
        if again.remove(key) != nil { add(CollectionOfOne(key)) }
    }

    /// The next to run, unless enough are running.
    public mutating func next(runningMax: Int) -> Key? {
        guard running.count < runningMax, head < waiting.count else { return nil }
        let key = waiting[head]
        head += 1
        if head > 1024 {
            waiting.removeFirst(head)
            head = 0
        }
        queued.remove(key)
        running.insert(key)
        return key
    }
}
