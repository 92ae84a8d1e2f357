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
            result = try await NIOThreadPool.singleton.runIfActive {
                do throws(Fault) { return .success(try work()) } catch { return .failure(error) }
            }
        } catch { throw Fault(.unavailable, "The store is being closed.", because: error) }
        return try result.get()
    }
}
