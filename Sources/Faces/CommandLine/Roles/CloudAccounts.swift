//  Who the accounts are that lists name, where the object store is part of a cloud: as identity knows them.

import Authority
import Identity
import Model
import Objects
import Synchronization

/// The accounts of the cloud. One that is not known yet is looked for.
final class CloudAccounts: AccountDirectory {
    private struct State {
        var byCanonicalID: [String: AccountScope] = [:]
        var byNumber: [String: AccountScope] = [:]
        var byID: [ID<Account>: AccountScope] = [:]
    }

    private let identity: IdentityService
    private let state = Mutex(State())

    init(identity: IdentityService) { self.identity = identity }

    func account(canonicalID: String) async throws(Fault) -> AccountScope? {
        try await find { $0.byCanonicalID[canonicalID] }
    }

    func account(number: String) async throws(Fault) -> AccountScope? { try await find { $0.byNumber[number] } }

    func account(_ id: ID<Account>) async throws(Fault) -> AccountScope? { try await find { $0.byID[id] } }

    private func find(_ look: (State) -> AccountScope?) async throws(Fault) -> AccountScope? {
        if let found = state.withLock({ look($0) }) { return found }
        let accounts = try await identity.accounts()
        return state.withLock { state in
            state = State()
            for account in accounts {
                let scope = AccountScope(id: account.id, number: account.number)
                state.byID[account.id] = scope
                state.byNumber[account.number] = scope
                state.byCanonicalID[ObjectsService.canonicalID(of: account.id)] = scope
            }
            return look(state)
        }
    }
}
