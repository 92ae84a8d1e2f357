//  The access keys of accounts' administrators, in files of root's that nobody else reads: control
//  tells a secret once, when the key is made.

import Fabric
import Model
import Platform

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What a client signs with.
struct Credentials: Sendable, Hashable, Codable {
    /// The account's name.
    var name: String
    /// Twelve digits.
    var account: String
    var accessKey: String
    var secretKey: String

    init(_ reply: AccountCredentials) {
        name = reply.name
        account = reply.account
        accessKey = reply.accessKey
        secretKey = reply.secretKey
    }

    static func path(of name: String, _ installation: Installation) -> String { "\(installation.credentials)/\(name).json" }

    /// - Returns: Nil where the account's credentials are not kept here.
    static func read(_ name: String, _ installation: Installation) throws(Fault) -> Credentials? {
        guard let bytes = try AtomicFile.read(path(of: try checked(name), installation), limit: 1 << 16) else { return nil }
        do {
            return try JSONDecoder().decode(Credentials.self, from: Data(bytes))
        } catch {
            throw Fault(
                .storage, "\(path(of: name, installation)) cannot be read: karri credentials --new \(name) makes another",
                because: error)
        }
    }

    func write(_ installation: Installation) throws(Fault) {
        try makeFolder(installation.credentials, mode: 0o700)
        try AtomicFile.write(
            try encoded(self), to: Credentials.path(of: try Credentials.checked(name), installation), mode: 0o600)
    }

    /// An account's name is part of a path here.
    private static func checked(_ name: String) throws(Fault) -> String {
        guard !name.isEmpty, !name.hasPrefix("."), !name.contains("/") else {
            throw Fault(.invalidParameter, "\(name) is not an account's name")
        }
        return name
    }

    /// The first account's, which is made where there is none. Where an earlier start made the account
    /// and was ended before it could write the key down, it gets another.
    static func ofFirstAccount(_ installation: Installation) async throws(Fault) -> Credentials {
        let name = AdministrationService.firstAccount
        if let known = try read(name, installation) { return known }
        let client = AdministrationClient(installation: installation)
        let accounts = try await client.ask { stub, options in try await stub.listAccounts(ListAccountsRequest(), options: options)
        }
        let reply: AccountCredentials
        if accounts.accounts.contains(where: { $0.name == name }) {
            reply = try await client.ask { stub, options in
                try await stub.createAccessKey(CreateAccessKeyRequest.with { $0.account = name }, options: options)
            }
        } else {
            reply = try await client.ask { stub, options in
                try await stub.createAccount(CreateAccountRequest.with { $0.name = name }, options: options)
            }
        }
        let made = Credentials(reply)
        try made.write(installation)
        return made
    }
}
