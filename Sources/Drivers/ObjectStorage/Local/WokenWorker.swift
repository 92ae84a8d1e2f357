//  Work of a shard that nobody waits for: it runs whenever it has been woken since it last began.

/// One such worker.
final class WokenWorker: Sendable {
    private let wakes: AsyncStream<Void>.Continuation
    private let task: Task<Void, Never>

    /// - Parameter rest: How long it waits after each run.
    init(rest: Duration = .zero, _ work: @escaping @Sendable () async -> Void) {
        let (stream, wakes) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.wakes = wakes
        task = Task {
            for await _ in stream {
                await work()
                if rest > .zero { try? await Task.sleep(for: rest) }
            }
        }
    }

    func wake() { wakes.yield() }

    /// Ends once what it was woken for is done, or, cut short, as soon as that can be left.
    func stop(cutShort: Bool = false) async {
        wakes.finish()
        if cutShort { task.cancel() }
        await task.value
    }
}
