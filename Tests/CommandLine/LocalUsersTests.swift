//  The file of users of an object store that runs alone, while its operator changes it.

import Authority
import Model
import Platform
import Synchronization
import Testing

@testable import CommandLine

struct LocalUsersTests {
    private static func text(_ key: String) -> [UInt8] {
        Array(#"{"users":[{"name":"a","account":"123456789012","accessKey":"\#(key)","secretKey":"s"}]}"#.utf8)
    }

    private final class Times: Sendable {
        let now = Mutex(Instant(seconds: 1_800_000_000))
        private let warnings = Mutex<[String]>([])

        func warn(_ text: String) { warnings.withLock { $0.append(text) } }
        /// What was warned of since this was last asked.
        func take() -> [String] {
            warnings.withLock { warnings in
                defer { warnings = [] }
                return warnings
            }
        }
    }

    private static func with(_ body: (LocalUsers, String, Times) async throws -> Void) async throws {
        let path = "/tmp/karri-users-\(hexDigits(Chance.system.bits()))"
        let times = Times()
        try AtomicFile.write(text("FIRST"), to: path, mode: 0o600)
        let chance = Chance(now: { times.now.withLock(\.self) }, bits: Chance.system.bits)
        let users = try LocalUsers(path: path, chance: chance) { times.warn($0.message) }
        do { try await body(users, path, times) } catch {
            _ = try? await Command.run("rm", ["-f", path])
            throw error
        }
        try await Command.run("rm", ["-f", path])
    }

    private static func knows(_ users: LocalUsers, _ key: String, _ times: Times) async throws -> Bool {
        times.now.withLock { $0 = $0 + .seconds(3) }
        return try await users.identify(key, signingIn: nil) != nil
    }

    /// What is wrong is said once, however often it is looked at, and what was right goes on.
    @Test func aFileThatIsBrokenIsWarnedOfOnceForEachContent() async throws {
        try await LocalUsersTests.with { users, path, times in
            for broken in [#"{"users":["#, #"{"users":[{"name":"a","account":"1","accessKey":"X","secretKey":"s"}]}"#] {
                try AtomicFile.write(Array(broken.utf8), to: path, mode: 0o600)
                for _ in 0..<3 { #expect(try await LocalUsersTests.knows(users, "FIRST", times)) }
                let warnings = times.take()
                #expect(warnings.count == 1 && warnings.first?.hasPrefix(path) == true)
            }
            try AtomicFile.write(LocalUsersTests.text("SECOND"), to: path, mode: 0o600)
            #expect(try await LocalUsersTests.knows(users, "SECOND", times))
            #expect(try await !LocalUsersTests.knows(users, "FIRST", times))
            #expect(times.take().isEmpty)
            // The same mistake, made again.
            try AtomicFile.write(Array("x".utf8), to: path, mode: 0o600)
            #expect(try await LocalUsersTests.knows(users, "SECOND", times))
            try AtomicFile.write(LocalUsersTests.text("SECOND"), to: path, mode: 0o600)
            #expect(try await LocalUsersTests.knows(users, "SECOND", times))
            try AtomicFile.write(Array("x".utf8), to: path, mode: 0o600)
            #expect(try await LocalUsersTests.knows(users, "SECOND", times))
            #expect(times.take().count == 2)
        }
    }

    @Test func aFileThatIsGoneIsWarnedOfOnce() async throws {
        try await LocalUsersTests.with { users, path, times in
            try await Command.run("rm", [path])
            for _ in 0..<3 { #expect(try await LocalUsersTests.knows(users, "FIRST", times)) }
            #expect(times.take() == ["there is no file \(path)"])
        }
    }
}
