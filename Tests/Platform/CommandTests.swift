import Model
import Platform
import Testing

@Suite struct CommandTests {
    @Test func outputAndInput() async throws {
        #expect(try await Command.run("cat", [], input: "hello") == "hello")
    }

    @Test func argumentsAreNotAShellsLine() async throws {
        #expect(try await Command.run("echo", ["$HOME; ls"]) == "$HOME; ls\n")
    }

    /// What undoes something runs to its end, and no descriptor is left open, when its task is cancelled.
    @Test func aCancelledTasksProgramEnds() async throws {
        for round in 0..<50 {
            let running = Task { try await Command.run("sh", ["-c", "sleep 0.0\(round % 5); echo done"]) }
            try await Task.sleep(for: .milliseconds(round % 10))
            running.cancel()
            #expect(try await running.value == "done\n")
        }
    }

    @Test func failureCarriesTheLastWords() async throws {
        let fault = await #expect(throws: Fault.self) { try await Command.run("sh", ["-c", "echo nope >&2; exit 3"]) }
        #expect(fault?.code == .driver)
        #expect(fault?.cause?.contains("status 3: nope") == true)
        await #expect(throws: Fault.self) { try await Command.run("no-such-program", []) }
    }
}
