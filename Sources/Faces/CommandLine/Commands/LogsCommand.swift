//  `karri logs`: the last lines of the processes' logs, by tail(1).

import ArgumentParser
import Model
import Platform
import Supervisor

#if canImport(Glibc)
    import Glibc
#endif

struct LogsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "logs", abstract: "Shows what the processes say.")
    @OptionGroup var place: PlaceOptions
    @Argument(help: "control, node, edge or supervisor; all unless one is named.") var name: String?
    @Flag(name: [.short, .long], help: "Goes on showing.") var follow = false
    @Option(name: [.customShort("n"), .long], help: "How many lines.") var lines = 100

    func run() async throws {
        let installation = try place.installation()
        let files = try LogsCommand.files(installation, name)
        let arguments = ["tail", "-n", "\(max(0, min(lines, 1_000_000)))"] + (follow ? ["-F"] : []) + ["--"] + files
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        words.append(nil)
        execvp("tail", &words)
        throw Fault(.driver, "tail could not be run: \(systemError())")
    }

    static func files(_ installation: Installation, _ name: String?) throws(Fault) -> [String] {
        guard access(installation.logs, R_OK) == 0 else {
            throw errno == EACCES
                ? Fault(.denied, "the logs are root's: sudo karri logs")
                : Fault(.notFound, "there are no logs: there is no cloud here")
        }
        let present = Folder.readableNames(in: installation.logs).filter { $0.hasSuffix(".log") }.map { String($0.dropLast(4)) }
        if let name {
            guard present.contains(name) else {
                throw Fault(.notFound, "there is no log named \(name); there are: \(present.joined(separator: ", "))")
            }
            return [installation.log(of: name)]
        }
        guard !present.isEmpty else { throw Fault(.notFound, "nothing was logged yet") }
        return present.map { installation.log(of: $0) }
    }
}
