//  The `karri` program: its subcommands, and how a failure ends it. The roles that the supervisor
//  runs are subcommands too, hidden from people.

import ArgumentParser
import Model

#if canImport(Glibc)
    import Glibc
#endif

/// The program.
public struct KarriCommand: AsyncParsableCommand {
    public static let configuration = CommandConfiguration(
        commandName: "karri",
        abstract: "A private cloud: virtual machines, networks and disks behind EC2's API, and objects behind S3's.",
        discussion: """
            karri up makes a cloud of this machine and says what to type next. karri start runs the object store alone.
            """,
        version: Release.description,
        subcommands: [
            UpCommand.self, StatusCommand.self, TraceCommand.self, CheckCommand.self, LogsCommand.self, EventsCommand.self,
            ConsoleCommand.self,
            CredentialsCommand.self,
            AccountCommand.self, ImageCommand.self, HostCommand.self, ObjectsCommand.self, StartCommand.self, DownCommand.self,
            UninstallCommand.self, BenchCommand.self,
            VersionCommand.self,
            ControlRole.self, NodeRole.self, EdgeRole.self, SimulateRole.self, SuperviseRole.self, ReapRole.self,
        ])

    public init() {}

    /// Runs the command that the arguments name, and ends the process when it failed: 1, or 3 where
    /// the cloud does not run; 64 for arguments that make no sense.
    public static func runAndExit() async -> Never {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
            Glibc.exit(0)
        } catch let fault as Fault {
            Output.remark(fault.message)
            if let cause = fault.cause { Output.remark("  \(cause.prefix(2000))") }
            exit(withError: ExitCode(fault.code == .unavailable ? 3 : 1))
        } catch {
            exit(withError: error)
        }
    }
}

/// Which Karri this is.
public enum Release {
    public static let version = "0.1.0"
    public static let description = "karri \(version)"
}

struct VersionCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Says which Karri this is.")

    func run() async throws { Output.line(Release.description) }
}
