//  Two short-lived helpers that are this program again, so that one file is all that a host needs:
//  the reaper that stands over libvirtd, and the confined reader of image headers.

import ArgumentParser
import CLinux
import Disks
import Hypervisor

#if canImport(Glibc)
    import Glibc
#endif

struct ReapRole: ParsableCommand {
    static let name = "reap"
    static let configuration = CommandConfiguration(
        commandName: name, abstract: "Stands over libvirtd and its machines.", shouldDisplay: false)
    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

    func run() throws { throw ExitCode(Reaper.run(arguments)) }
}

/// The confined reader. It is known by the program's name and not by an argument: where it runs there
/// is no /proc, without which Swift sees no arguments.
public enum HeaderReader {
    static let name = "read-image-header"

    /// Does its work and ends the process, if this is it.
    public static func runIfNamed() {
        let path = String(cString: karri_program_name())
        guard path == name || path.hasSuffix("/" + name) else { return }
        exit(HeaderAnswer.answer())
    }
}
