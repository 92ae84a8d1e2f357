//  `karri host`: the hosts, and what to do with one that will not come back.

import ArgumentParser
import Fabric
import Model
import Platform

struct HostCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "host", abstract: "Shows the hosts; gives a lost one up, and takes it back.",
        subcommands: [List.self, Fence.self, Accept.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists the hosts.")
        @OptionGroup var place: PlaceOptions
        @Flag(help: "Answers in JSON.") var json = false

        func run() async throws {
            let client = AdministrationClient(installation: try place.installation())
            let reply = try await client.ask { stub, options in try await stub.status(StatusRequest(), options: options) }
            let hosts = reply.hosts.map { StatusReport.HostLine($0) }
            if json { return Output.write(try encoded(hosts), to: 1) }
            for line in StatusReport.table(of: hosts, now: Chance.system.now()) { Output.line(line) }
        }
    }

    struct Fence: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "fence", abstract: "Says that a lost host runs nothing any more.",
            discussion: """
                Its machines are stopped, what waits for it ends, and addresses of removed machines go to others. \
                Only for a host that is switched off or cut off for good: a machine that ran on there would have \
                its address twice. Its node gets no session until karri host accept.
                """)
        @OptionGroup var place: PlaceOptions
        @Argument(help: "The host's name.") var name: String
        @Flag(help: "Asks nothing.") var yes = false

        func run() async throws {
            try requireRoot("host fence \(name)")
            let installation = try place.installation()
            if !yes {
                guard Output.ask("Is the host \(name) off, and does nothing run on it?", among: ["yes", "no"]) == "yes" else {
                    throw Fault(.cancelled, "nothing was changed; karri host fence --yes asks nothing")
                }
            }
            let host = name
            let reply = try await AdministrationClient(installation: installation).ask { stub, options in
                try await stub.fenceHost(FenceHostRequest.with { $0.host = host }, options: options)
            }
            Output.line(Fence.shown(reply, host))
        }

        static func shown(_ reply: FenceHostReply, _ host: String) -> String {
            "\(host) is fenced: \(reply.machinesStopped) machines are stopped, and \(reply.machinesEnding) others end what they were at"
        }
    }

    struct Accept: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "accept", abstract: "Lets a fenced host come back.",
            discussion: "It is told to remove what it should no longer have; its stopped machines can be started again.")
        @OptionGroup var place: PlaceOptions
        @Argument(help: "The host's name.") var name: String

        func run() async throws {
            try requireRoot("host accept \(name)")
            let host = name
            let reply = try await AdministrationClient(installation: try place.installation()).ask { stub, options in
                try await stub.acceptHost(AcceptHostRequest.with { $0.host = host }, options: options)
            }
            Output.line("\(host) may come back; it is told to remove \(reply.leftovers) things that are gone")
        }
    }
}
