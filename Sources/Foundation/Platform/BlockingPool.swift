//  Where work runs that waits for the disk: never on an event loop, nor where tasks run.

import Model
import NIOPosix

/// Threads that may block.
public enum BlockingPool {
    /// Runs `work` on one of them.
    ///
    /// - Throws: What it throws; `unavailable` at the process's end.
    public static func run<T: Sendable>(_ work: @escaping @Sendable () throws(Fault) -> T) async throws(Fault) -> T {
        let result: Result<T, Fault>
        do {
            result = try await NIOThreadPool.singleton.runIfActive { outcome(of: work) }
        } catch { throw Fault(.unavailable, "The store is being closed.", because: error) }
        return try result.get()
    }

    /// Has `work` run on one of them, beside what the caller does next.
    ///
    /// - Parameter done: Is told there what came of it; `unavailable` at the process's end.
    public static func start<T: Sendable>(
        _ work: @escaping @Sendable () throws(Fault) -> T, done: @escaping @Sendable (Result<T, Fault>) -> Void
    ) {
        NIOThreadPool.singleton.submit { state in
            done(state == .active ? outcome(of: work) : .failure(Fault(.unavailable, "The store is being closed.")))
        }
    }

    private static func outcome<T>(of work: () throws(Fault) -> T) -> Result<T, Fault> {
        do throws(Fault) { return .success(try work()) } catch { return .failure(error) }
    }
}
