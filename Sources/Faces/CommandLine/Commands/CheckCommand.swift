//  `karri check`: whether the store is consistent in itself, and whether this host has what the
//  store says and nothing else.

import ArgumentParser
import Dataplane
import Fabric
import Model
import Platform

struct CheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Compares the store with itself and with this host; changes nothing.",
        discussion: """
            Prints a line for each thing that is wrong and ends with 1 if there is any, with 3 when the cloud does not run. While \
            machines are being launched or terminated, what is on its way may be named: ask again.
            """)
    @OptionGroup var place: PlaceOptions

    func run() async throws {
        try requireRoot("check")
        let installation = try place.installation()
        let complaints = try await CheckCommand.complaints(installation, Configuration.require(installation))
        for complaint in complaints { Output.line(complaint) }
        guard complaints.isEmpty else { throw ExitCode(1) }
        Output.line("all is in order")
    }

    static func complaints(_ installation: Installation, _ configuration: Configuration) async throws(Fault) -> [String] {
        // Simulated hosts have nothing on this one.
        let host = configuration.isSimulated ? "" : hostName()
        let client = AdministrationClient(installation: installation)
        let names = try DataplaneNames(installation)
        let ask: @Sendable () async throws(Fault) -> CheckReply = { () async throws(Fault) in
            try await client.ask { stub, options in
                try await stub.check(CheckRequest.with { $0.host = host }, options: options)
            }
        }
        let before = try await ask()
        guard !configuration.isSimulated else { return before.broken }
        let things = try await HostListing(installation: installation, log: Log.start("check")).things()
        let after = try await ask()
        let held = HeldThings(before, names)
        let heldStill = held.also(HeldThings(after, names))
        return after.broken + heldStill.complaints(of: things)
    }
}
