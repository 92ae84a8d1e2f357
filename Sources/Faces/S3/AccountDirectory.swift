//  Who the accounts are that lists name, as identity knows them.

import Authority
import Identity
import Model
import Objects
import Synchronization

/// The accounts of the cloud, kept for a moment.
public final class CloudAccounts: AccountDirectory {
    private struct State {
        var byCanonicalID: [String: AccountScope] = [:]
        var byID: [ID<Account>: AccountScope] = [:]
        var read: Instant?
    }

    /// One that is not known is looked for no more often than this.
    private static let readingInterval = Duration.seconds(1)

    private let identity: IdentityService
    private let chance: Chance
    private let state = Mutex(State())

    public init(identity: IdentityService, chance: Chance) {
        self.identity = identity
        self.chance = chance
    }

    public func account(canonicalID: String) async throws(Fault) -> AccountScope? {
        try await find { $0.byCanonicalID[canonicalID] }
    }

    public func account(_ id: ID<Account>) async throws(Fault) -> AccountScope? { try await find { $0.byID[id] } }

    public func account(number: String) async throws(Fault) -> AccountScope? {
        try await find { state in state.byID.values.first { $0.number == number } }
    }

    private func find(_ look: (State) -> AccountScope?) async throws(Fault) -> AccountScope? {
        let now = chance.now()
        let (found, isFresh) = state.withLock { state in
            (look(state), state.read.map { now < $0 + CloudAccounts.readingInterval } ?? false)
        }
        if found != nil || isFresh { return found }
        let accounts = try await identity.accounts()
        return state.withLock { state in
            state = State(read: now)
            for account in accounts {
                let scope = AccountScope(id: account.id, number: account.number)
                state.byID[account.id] = scope
                state.byCanonicalID[ObjectsService.canonicalID(of: account.id)] = scope
            }
            return look(state)
        }
    }
}
