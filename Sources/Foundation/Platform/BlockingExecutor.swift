//  A named serial executor for actors whose work is blocking C (libpq, libvirt, fsync), so that
//  it never holds up the cooperative pool or an event loop.

import Dispatch

/// Runs an actor's jobs one after the other on a dispatch queue of its own.
public final class BlockingExecutor: SerialExecutor {
    private let queue: DispatchQueue

    public init(name: String) { queue = DispatchQueue(label: name) }

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedSerialExecutor()
        queue.async { job.runSynchronously(on: executor) }
    }

    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }
}
