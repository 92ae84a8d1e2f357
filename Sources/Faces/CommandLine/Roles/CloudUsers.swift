//  The users of an object store that stands beside a cloud's controller: they are the cloud's, and are
//  asked for over the fabric.

import Authority
import Fabric
import GRPCCore
import GRPCNIOTransportHTTP2
import Model
import Objects
import Synchronization

/// Who may use the store, as the cloud controller says it.
final class CloudUsers: KeyDirectory, AccountDirectory {
    private struct KeyName: Sendable, Hashable {
        var accessKey: String
        var scope: SigningScope
    }

    private struct Answer: Sendable {
        /// Nil: there is no such key.
        var key: IdentifiedKey?
        var taken: Instant
    }

    private struct State {
        /// By access key, whose owner alone decides how many scopes there are.
        var keys: [String: [SigningScope: Answer]] = [:]
        var accounts: [FindAccountRequest: AccountScope] = [:]
        /// When the controller was last asked in vain.
        var failed: (fault: Fault, at: Instant)?

        func answer(_ name: KeyName) -> Answer? { keys[name.accessKey]?[name.scope] }

        mutating func keep(_ key: IdentifiedKey?, _ name: KeyName, now: Instant) {
            if keys.count >= CloudUsers.answersMax, keys[name.accessKey] == nil {
                keys = keys.filter { _, answers in answers.values.contains { $0.key != nil && now < $0.taken + CloudUsers.patience }
                }
                if keys.count >= CloudUsers.answersMax { keys = [:] }
            }
            // Whoever knows a key's public half can make up scopes: they take only each other's place.
            if keys[name.accessKey, default: [:]].count >= CloudUsers.scopesMax, keys[name.accessKey]?[name.scope] == nil,
                let oldest = keys[name.accessKey]?.min(by: { $0.value.taken < $1.value.taken })
            {
                keys[name.accessKey]?[oldest.key] = nil
            }
            keys[name.accessKey, default: [:]][name.scope] = Answer(key: key, taken: now)
        }
    }

    /// How long an answer is not asked for again: so long a key that is withdrawn goes on working.
    private static let life = Duration.seconds(5)
    /// How long an answer is good while the controller is away.
    private static let patience = Duration.seconds(600)
    /// How long the controller is left alone that has not answered.
    private static let pause = Duration.seconds(2)
    private static let answersMax = 10_000
    private static let scopesMax = 32
    private static let timeout = Duration.seconds(10)
    /// What says that the controller cannot answer just now.
    private static let isAway: Set<Fault.Code> = [.unavailable, .timedOut, .storage]

    private let directory: IdentityDirectory.Client<HTTP2ClientTransport.Posix>
    private let chance: Chance
    private let state = Mutex(State())

    init(_ client: GRPCClient<HTTP2ClientTransport.Posix>, chance: Chance) {
        directory = IdentityDirectory.Client(wrapping: client)
        self.chance = chance
    }

    func identify(_ accessKey: String, signingIn scope: SigningScope?) async throws(Fault) -> IdentifiedKey? {
        guard let scope else {
            throw Fault(.notSupported, "Secrets stay with the cloud controller: only Signature Version 4 can be checked here.")
        }
        let name = KeyName(accessKey: accessKey, scope: scope)
        let now = chance.now()
        let (known, failed) = state.withLock { ($0.answer(name), $0.failed) }
        if let known, now < known.taken + CloudUsers.life { return known.key }
        let usable = known.flatMap { now < $0.taken + CloudUsers.patience ? $0.key : nil }
        if let failed, now < failed.at + CloudUsers.pause {
            if let usable { return usable }
            throw failed.fault
        }
        switch await ask(name) {
        case .success(let fresh):
            state.withLock { state in
                state.failed = nil
                state.keep(fresh, name, now: now)
            }
            return fresh
        case .failure(let fault):
            guard CloudUsers.isAway.contains(fault.code) else { throw fault }
            state.withLock { $0.failed = (fault, chance.now()) }
            if let usable { return usable }
            throw fault
        }
    }

    private func ask(_ name: KeyName) async -> Result<IdentifiedKey?, Fault> {
        let request = IdentifyRequest.with {
            $0.accessKey = name.accessKey
            $0.date = name.scope.date
            $0.region = name.scope.region
            $0.service = name.scope.service
        }
        do {
            let reply = try await directory.identify(request, options: options)
            guard reply.hasUser else { return .success(nil) }
            let user = reply.user
            return .success(
                IdentifiedKey(
                    accessKey: name.accessKey, secret: .derived(Array(user.signingKey)),
                    principal: .user(user.name, uniqueId: user.uniqueID, of: AccountScope(user.account)),
                    policies: try user.policies.map { try PolicyDocument(parsing: $0, charactersMax: .max) }))
        } catch { return .failure(CloudUsers.fault(error)) }
    }

    private var options: CallOptions {
        var options = CallOptions.defaults
        options.timeout = CloudUsers.timeout
        options.waitForReady = false
        return options
    }

    private static func fault(_ error: any Error) -> Fault {
        if let fault = error as? Fault ?? (error as? RPCError).flatMap(Fault.init) { return fault }
        return Fault(.unavailable, "The cloud controller does not answer.", because: error)
    }

    // MARK: Accounts

    func account(canonicalID: String) async throws(Fault) -> AccountScope? {
        try await account(FindAccountRequest.with { $0.canonicalID = canonicalID })
    }

    func account(_ id: ID<Account>) async throws(Fault) -> AccountScope? {
        try await account(FindAccountRequest.with { $0.id = id.bits })
    }

    func account(number: String) async throws(Fault) -> AccountScope? {
        try await account(FindAccountRequest.with { $0.number = number })
    }

    /// An account's number and id never change, so that what was found once is not asked for again.
    private func account(_ request: FindAccountRequest) async throws(Fault) -> AccountScope? {
        if let known = state.withLock({ $0.accounts[request] }) { return known }
        let answer: Result<AccountScope?, Fault>
        do {
            let reply = try await directory.findAccount(request, options: options)
            answer = .success(reply.hasAccount ? AccountScope(reply.account) : nil)
        } catch { answer = .failure(CloudUsers.fault(error)) }
        let found = try answer.get()
        if let found {
            state.withLock { state in
                if state.accounts.count >= CloudUsers.answersMax { state.accounts = [:] }
                state.accounts[request] = found
            }
        }
        return found
    }
}

extension AccountScope {
    fileprivate init(_ account: SigningAccount) { self.init(id: ID(bits: account.id), number: account.number) }
}
