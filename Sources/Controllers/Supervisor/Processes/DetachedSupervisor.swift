//  Starts the supervisor behind the command that was typed, and follows it until the cloud is up.

import Model
import Platform

public enum DetachedSupervisor {
    /// Starts a program, which is to run a `Supervisor`, in a session of its own. It outlives this
    /// process and has none of its descriptors.
    ///
    /// - Parameters:
    ///   - program: An absolute path.
    ///   - log: Its outputs are appended here.
    /// - Throws: `Fault.driver` if it cannot be started.
    public static func start(
        _ program: String, _ arguments: [String], environment: [String: String], log: String
    ) throws(Fault) -> ProcessIdentity {
        let specification = ChildSpecification(
            name: "supervisor", program: program, arguments: arguments, environment: environment,
            limits: ResourceLimits(coreBytes: nil), log: log, endsWithSupervisor: false)
        let child = try ChildProcess(specification, inherited: [], controlGroups: [])
        guard let identity = child.identity else { throw Fault(.driver, "\(program) ended at once; see \(log)") }
        return identity
    }

    /// Waits until every process is up.
    ///
    /// - Parameter progress: Called at each change.
    /// - Throws: `Fault.unavailable` if the supervisor ended or gave up, with its reason;
    ///   `Fault.timedOut`; `Fault.cancelled`.
    public static func waitUntilReady(
        _ installation: Installation, supervisor: ProcessIdentity, within limit: Duration,
        progress: (SupervisorStatus) -> Void = { _ in }
    ) async throws(Fault) {
        let end = ContinuousClock.now + limit
        var shown: SupervisorStatus?
        while true {
            let isAlive = supervisor.isAlive
            // An earlier supervisor's file says nothing of this one.
            if let status = try SupervisorStatus.read(installation.supervisorStatus), status.supervisor == supervisor {
                if status != shown { progress(status) }
                shown = status
                if let failure = status.failure { throw Fault(.unavailable, failure) }
                if isAlive, status.isReady { return }
            }
            guard isAlive else {
                throw Fault(.unavailable, "the supervisor ended; see \(installation.log(of: "supervisor"))")
            }
            guard ContinuousClock.now < end else { throw Fault(.timedOut, "the processes are not up after \(limit)") }
            do { try await Task.sleep(for: .milliseconds(20)) } catch { throw Fault(.cancelled, "the wait was cancelled") }
        }
    }
}
