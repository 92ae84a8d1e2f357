//  `karri account` and `karri credentials`: tenants, and what their administrators sign with.

import ArgumentParser
import Fabric
import Model
import Platform

struct AccountCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account", abstract: "Makes and lists accounts.", subcommands: [Create.self, List.self])

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "create", abstract: "Makes an account with an administrator and an access key.")
        @OptionGroup var place: PlaceOptions
        @Argument(help: "3 to 63 letters, digits, dots, hyphens and underscores.") var name: String

        func run() async throws {
            try requireRoot("account create \(name)")
            let installation = try place.installation()
            let asked = name
            let reply = try await AdministrationClient(installation: installation).ask { stub, options in
                try await stub.createAccount(CreateAccountRequest.with { $0.name = asked }, options: options)
            }
            let made = Credentials(reply)
            try made.write(installation)
            for line in CredentialsCommand.shown(made, try Configuration.require(installation), installation) { Output.line(line) }
            Output.remark("kept in \(Credentials.path(of: name, installation)), which only root reads")
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists the accounts.")
        @OptionGroup var place: PlaceOptions

        func run() async throws {
            let reply = try await AdministrationClient(installation: try place.installation()).ask { stub, options in
                try await stub.listAccounts(ListAccountsRequest(), options: options)
            }
            for line in columns([["ACCOUNT", "NAME"]] + reply.accounts.map { [$0.account, $0.name] }) { Output.line(line) }
        }
    }
}

struct CredentialsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "credentials", abstract: "Shows what an account's administrator signs with, as lines for a shell.")
    @OptionGroup var place: PlaceOptions
    @Flag(help: "Makes another key, where the first one was lost.") var new = false
    @Argument(help: "The account's name.") var account = AdministrationService.firstAccount

    func run() async throws {
        try requireRoot("credentials")
        let installation = try place.installation()
        let configuration = try Configuration.require(installation)
        let name = account
        var known = try Credentials.read(name, installation)
        if new {
            let made = Credentials(
                try await AdministrationClient(installation: installation).ask { stub, options in
                    try await stub.createAccessKey(CreateAccessKeyRequest.with { $0.account = name }, options: options)
                })
            try made.write(installation)
            known = made
        }
        guard let known else {
            throw Fault(
                .notFound, "no key of \(name) is kept here: karri credentials --new \(name) makes one, if there is such an account")
        }
        for line in CredentialsCommand.shown(known, configuration, installation) { Output.line(line) }
    }

    static func shown(
        _ credentials: Credentials, _ configuration: Configuration, _ installation: Installation
    ) -> [String] {
        [
            "# account \(credentials.account), \(credentials.name)", "export AWS_ACCESS_KEY_ID=\(credentials.accessKey)",
            "export AWS_SECRET_ACCESS_KEY=\(credentials.secretKey)", "export AWS_DEFAULT_REGION=\(configuration.region)",
            "export AWS_ENDPOINT_URL=\(configuration.endpoint)",
        ] + (configuration.security == .own ? ["export AWS_CA_BUNDLE=\(installation.trustedCertificate)"] : [])
    }
}
