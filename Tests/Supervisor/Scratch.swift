//  A folder of a test's own, with an installation in it, removed at the end.

import Foundation
import Logging
import Model
import Platform

@testable import Supervisor

final class Scratch: Sendable {
    let path: String
    let installation: Installation

    init() throws {
        path = "/tmp/karri-test-\(UUID().uuidString.prefix(8))"
        let mark = "t" + String(UInt64.random(in: 0..<(36 * 36 * 36 * 36)), radix: 36)
        installation = Installation(root: path, mark: mark)
        for folder in [installation.run, installation.logs] {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// A child that runs a shell script.
    func script(_ name: String, _ text: String, readiness: Readiness = .started) -> ChildSpecification {
        ChildSpecification(
            name: name, program: "/bin/sh", arguments: ["-c", text],
            environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SCRATCH": path], folder: "/", log: installation.log(of: name),
            readiness: readiness, readyWithin: .seconds(5), stopWithin: .seconds(5))
    }

    func text(_ name: String) -> String { readText("\(path)/\(name)") ?? "" }
    func log(_ name: String) -> String { readText(installation.log(of: name)) ?? "" }

    /// Runs children while `body` runs, and stops them in order.
    func supervise(
        _ specifications: [ChildSpecification], policy: RestartPolicy = quick, rotation: LogRotation = LogRotation(),
        _ body: (Supervisor) async throws -> Void
    ) async throws {
        let supervisor = try Supervisor(
            installation, specifications, policy: policy, rotation: rotation,
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let run = Task { try await supervisor.run() }
        do {
            try await body(supervisor)
        } catch {
            supervisor.stop()
            _ = try? await run.value
            throw error
        }
        supervisor.stop()
        try await run.value
    }

    static let quick = RestartPolicy(firstPause: .milliseconds(20), longestPause: .milliseconds(100), startFailuresMax: 3)

    func status() throws -> SupervisorStatus? { try SupervisorStatus.read(installation.supervisorStatus) }
}

/// Waits until something is so, for a limited time.
func eventually(_ limit: Duration = .seconds(60), _ condition: () throws -> Bool) async throws {
    let end = ContinuousClock.now + limit
    while try !condition() {
        guard ContinuousClock.now < end else { throw Fault(.timedOut, "it did not become so") }
        try await Task.sleep(for: .milliseconds(10))
    }
}
