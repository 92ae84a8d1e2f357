//  Two short-lived helpers that are this program under another name, so that one file is all that a
//  host needs: the reaper that stands over libvirtd, and the confined reader of image headers.

import ArgumentParser
import Disks
import Hypervisor

struct ReapRole: ParsableCommand {
    static let name = "reap"
    static let configuration = CommandConfiguration(
        commandName: name, abstract: "Stands over libvirtd and its machines.", shouldDisplay: false)
    @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

    func run() throws { throw ExitCode(Reaper.run(arguments)) }
}

struct ReadImageHeaderRole: ParsableCommand {
    static let name = "read-image-header"
    static let configuration = CommandConfiguration(
        commandName: name, abstract: "Reads an image's header from the standard input.", shouldDisplay: false)

    func run() throws { throw ExitCode(HeaderAnswer.answer()) }
}
