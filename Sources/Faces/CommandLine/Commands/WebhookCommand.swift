//  `karri objects webhook`: where the object store may tell what happens in buckets.

import ArgumentParser
import Model
import Objects
import Platform

struct WebhookCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "webhook", abstract: "Names addresses that buckets' notifications may be sent to.",
        subcommands: [Add.self, Remove.self, List.self], defaultSubcommand: List.self)

    struct Add: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Names an address; one of the same name is replaced.",
            discussion: "Owners of buckets name it arn:karri:sqs:REGION:NAME:webhook. It takes effect at once.")
        @OptionGroup var place: PlaceOptions
        @Option(
            help: ArgumentHelp(
                "An address of this host, of its link or of loopback that the webhook may lead to; others are refused.",
                valueName: "address"))
        var allow: [String] = []
        @Argument(help: "1 to 63 lower-case letters, digits and hyphens.") var name: String
        @Argument(help: "Where messages are posted: http://… or https://….") var address: String

        func run() async throws {
            try Webhooks(try place.installation()).add(try Webhook(name: name, address: address, exceptions: allow))
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Forgets an address; nothing more is sent there.")
        @OptionGroup var place: PlaceOptions
        @Argument(help: "The webhook's name.") var name: String

        func run() async throws { try Webhooks(try place.installation()).remove(name) }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists the addresses.")
        @OptionGroup var place: PlaceOptions

        func run() async throws {
            let rows = try Webhooks(try place.installation()).all().map {
                [$0.name, $0.address, $0.exceptions.joined(separator: ",")]
            }
            for line in columns([["NAME", "ADDRESS", "ALLOWED"]] + rows) { Output.line(line) }
        }
    }
}

extension Webhooks {
    /// Those of an installation.
    convenience init(_ installation: Installation) { self.init(path: installation.configuration + "/webhooks.json") }
}
