//  Runs `ip`, `bridge`, `nft` and `conntrack` in the host's namespace or in a domain's. The only
//  file of the driver that starts programs.

import Model
import Platform
import Synchronization

/// Where a command runs.
enum Place: Hashable, Sendable {
    case host
    case domain(String)
}

/// What a fail point decides about a command that is about to run.
public enum FailPoint: Sendable {
    case proceed
    /// As if the process was killed before the command.
    case stop
    /// As if it was killed after so many lines of a batch.
    case stopAfterLines(Int)
}

/// Starts the host's programs and reads their failures.
struct HostShell: Sendable {
    /// The namespace that stands for the host; nil is the one that this process is in.
    let hostNamespace: String?
    /// Asked before each command that changes something, for tests of crashes.
    let failPoint: (@Sendable (_ command: String) -> FailPoint)?
    private let tally = Tally()

    init(hostNamespace: String?, failPoint: (@Sendable (_ command: String) -> FailPoint)?) {
        self.hostNamespace = hostNamespace
        self.failPoint = failPoint
    }

    /// Commands and lines so far.
    var work: AppliedWork { tally.work.withLock { $0 } }

    static let namespaceFolder = "/run/netns"

    /// The standard output of a program that only looks.
    func look(_ place: Place, _ program: String, _ arguments: [String]) async throws(Fault) -> String {
        let (program, arguments) = command(place, program, arguments)
        count(lines: 0)
        return try await Command.run(program, arguments, outputLimit: 256 << 20)
    }

    /// Whether a program that only looks succeeds, with its output.
    func attempt(_ place: Place, _ program: String, _ arguments: [String]) async throws(Fault) -> (status: Int, output: String) {
        let (program, arguments) = command(place, program, arguments)
        count(lines: 0)
        let result = try await Command.attempt(program, arguments, outputLimit: 256 << 20)
        return (result.status, result.output)
    }

    /// Runs a program that changes something.
    func run(_ place: Place, _ program: String, _ arguments: [String], input: String = "") async throws(Fault) {
        if case .proceed = failPoint?("\(program) \(arguments.joined(separator: " "))") ?? .proceed {
            let (program, arguments) = command(place, program, arguments)
            count(lines: max(1, input.utf8.count { $0 == UInt8(ascii: "\n") }))
            try await Command.run(program, arguments, input: input)
        } else {
            throw Fault(.cancelled, "stopped at a fail point")
        }
    }

    /// Carries out a text of nftables as one transaction. An empty one is not run.
    func nft(_ place: Place, _ text: String) async throws(Fault) {
        guard !text.isEmpty else { return }
        try await run(place, "nft", ["-f", "-"], input: text)
    }

    /// Removes tracked flows: lines of conntrack(8).
    func conntrack(_ place: Place, _ lines: [String]) async throws(Fault) {
        guard !lines.isEmpty else { return }
        try await run(place, "conntrack", ["-R", "-"], input: lines.joined(separator: "\n") + "\n")
    }

    /// Writes files below /proc/sys, in order.
    func set(_ place: Place, _ settings: [(path: String, value: String)]) async throws(Fault) {
        guard !settings.isEmpty else { return }
        let script = "set -e; for setting; do echo \"${setting#*=}\" > \"/proc/sys/${setting%%=*}\"; done"
        try await run(place, "sh", ["-c", script, "sh"] + settings.map { "\($0.path)=\($0.value)" })
    }

    /// Carries out lines of `ip`, then those of `bridge`. All lines are tried.
    ///
    /// - Throws: `Fault.driver` with the first line that failed and had no leave to.
    func batch(_ place: Place, _ lines: [BatchLine]) async throws(Fault) {
        for program in [BatchLine.Program.ip, .bridge] {
            try await batch(place, program.rawValue, lines.filter { $0.program == program })
        }
    }

    private func batch(_ place: Place, _ program: String, _ lines: [BatchLine]) async throws(Fault) {
        guard !lines.isEmpty else { return }
        var allowed = lines
        switch failPoint?("\(program) \(lines[0].text)") ?? .proceed {
        case .proceed: break
        case .stop: throw Fault(.cancelled, "stopped at a fail point")
        case .stopAfterLines(let count): allowed = Array(lines.prefix(count))
        }
        let (path, arguments) = command(place, program, ["-force", "-batch", "-"])
        count(lines: allowed.count)
        let result = try await Command.attempt(path, arguments, input: allowed.map(\.text).joined(separator: "\n") + "\n")
        if result.status != 0 {
            let failures = BatchFailure.parse(result.error)
            guard !failures.isEmpty else {
                throw Fault(.driver, "\(program) failed", cause: "status \(result.status): \(result.error.suffix(2000))")
            }
            for failure in failures {
                let line = failure.line >= 1 && failure.line <= allowed.count ? allowed[failure.line - 1] : nil
                if let line, line.mayBeGone, failure.isAbsence { continue }
                throw Fault(
                    failure.isAbsence ? .notFound : .driver, "\(program) failed",
                    cause: "\(program) \(line?.text ?? "line \(failure.line)"): \(failure.message)")
            }
        }
        if allowed.count < lines.count { throw Fault(.cancelled, "stopped at a fail point") }
    }

    private func command(_ place: Place, _ program: String, _ arguments: [String]) -> (String, [String]) {
        let namespace: String
        switch place {
        case .host:
            guard let hostNamespace else { return (program, arguments) }
            namespace = hostNamespace
        case .domain(let name): namespace = name
        }
        // nsenter, unlike `ip netns exec`, leaves the mounts alone: a namespace made from here is
        // seen by all.
        return ("nsenter", ["--net=\(HostShell.namespaceFolder)/\(namespace)", program] + arguments)
    }

    private func count(lines: Int) {
        tally.work.withLock {
            $0.commands += 1
            $0.lines += lines
        }
    }

    /// Shared by copies of the shell.
    private final class Tally: Sendable {
        let work = Mutex(AppliedWork())
    }
}

/// A line of a batch that failed, as `ip -force -batch` says it on its standard error.
struct BatchFailure: Hashable, Sendable {
    /// Counted from 1.
    var line: Int
    var message: String

    /// Whether the failure means that what should go is gone.
    var isAbsence: Bool {
        ["No such process", "Cannot find device", "No such file or directory", "Cannot assign requested address", "No such device"]
            .contains { message.contains($0) }
    }

    /// Reads messages, each followed by `Command failed FILE:LINE`. Pure.
    static func parse(_ text: String) -> [BatchFailure] {
        var failures: [BatchFailure] = []
        var message: [Substring] = []
        for line in text.split(separator: "\n") {
            guard line.hasPrefix("Command failed "), let colon = line.lastIndex(of: ":"),
                let number = Int(line[line.index(after: colon)...])
            else {
                message.append(line)
                continue
            }
            failures.append(BatchFailure(line: number, message: message.joined(separator: "; ")))
            message = []
        }
        return failures
    }
}
