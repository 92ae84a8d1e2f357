//  How a process of the cloud ends in order: its work is cancelled when the supervisor asks, and it
//  returns once the work has let go of what it held.

import CLinux
import Dispatch
import Logging
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

enum Termination {
    /// Runs `body` until it ends, or until SIGTERM or SIGINT cancels it. Once a process.
    static func during(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let asked = try requests()
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await body()
                return false
            }
            group.addTask {
                for await _ in asked { return true }
                return true
            }
            defer { group.cancelAll() }
            guard try await group.next() == true else { return }
            group.cancelAll()
            // What a cancelled service throws is its way of ending.
            do { _ = try await group.next() } catch {}
        }
    }

    private static func requests() throws(Fault) -> AsyncStream<Void> {
        let numbers = [SIGTERM, SIGINT]
        let descriptor = karri_signals_to_pipe(numbers, numbers.count)
        guard descriptor >= 0 else { throw Fault(.internalError, "signals cannot be taken: \(systemError())") }
        let (requests, source) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let reading = DispatchSource.makeReadSource(fileDescriptor: descriptor, queue: DispatchQueue(label: "karri.signals"))
        // The handler keeps its source, as long as the process lasts: so does the pipe.
        reading.setEventHandler {
            withExtendedLifetime(reading) { _ = source.yield() }
        }
        reading.resume()
        return requests
    }
}

/// A process's log: lines on the standard error, which the supervisor keeps.
enum Log {
    static func start(_ name: String) -> Logger {
        LoggingSystem.bootstrap { StreamLogHandler.standardError(label: $0) }
        var logger = Logger(label: "karri.\(name)")
        if let level = getenv("KARRI_LOG").flatMap({ Logger.Level(rawValue: String(cString: $0)) }) { logger.logLevel = level }
        return logger
    }
}
