//  What the cloud controller tells hosts that answer clients themselves: who an access key is, with the
//  signing key of a day, a region and a service. No secret leaves the controller.

import Authority
import Fabric
import FoundationEssentials
import GRPCCore
import Identity
import Model
import Objects

struct IdentityDirectoryService: IdentityDirectory.SimpleServiceProtocol {
    let identity: IdentityService
    let accounts: any AccountDirectory

    func identify(request: IdentifyRequest, context: ServerContext) async throws -> IdentifyReply {
        let scope = SigningScope(date: request.date, region: request.region, service: request.service)
        return try await administered { () async throws(Fault) in
            guard let known = try await identity.signer(request.accessKey, in: scope) else { return IdentifyReply() }
            guard let name = known.principal.userName, let account = known.principal.account else {
                throw Fault(.internalError, "the key \(request.accessKey) is no user's")
            }
            guard case .derived(let signingKey) = known.secret else {
                throw Fault(.internalError, "a signing key could not be derived")
            }
            return IdentifyReply.with {
                $0.user = SigningUser.with {
                    $0.signingKey = Data(signingKey)
                    $0.uniqueID = known.principal.uniqueId
                    $0.name = name
                    $0.account = SigningAccount(account)
                    $0.policies = known.policies.map(\.text)
                }
            }
        }
    }

    func findAccount(request: FindAccountRequest, context: ServerContext) async throws -> FindAccountReply {
        try await administered { () async throws(Fault) in
            let found: AccountScope? =
                switch request.by {
                case .id(let id): try await accounts.account(ID(bits: id))
                case .number(let number): try await accounts.account(number: number)
                case .canonicalID(let id): try await accounts.account(canonicalID: id)
                case nil: throw Fault(.missingParameter, "no account is named")
                }
            return FindAccountReply.with { reply in if let found { reply.account = SigningAccount(found) } }
        }
    }
}

extension SigningAccount {
    fileprivate init(_ account: AccountScope) {
        self.init()
        id = account.id.bits
        number = account.number
    }
}
