//  What the object store has to know of accounts, whoever keeps them: a cloud's identity, or a file.

import Authority
import Model

/// Who the accounts are that lists and owners name.
public protocol AccountDirectory: Sendable {
    func account(canonicalID: String) async throws(Fault) -> AccountScope?
    func account(_ id: ID<Account>) async throws(Fault) -> AccountScope?
    /// - Parameter number: Twelve digits.
    func account(number: String) async throws(Fault) -> AccountScope?
}

extension ObjectsService {
    /// An account that the operator names.
    ///
    /// - Parameter number: Twelve digits.
    /// - Throws: `notFound`.
    public func account(number: String) async throws(Fault) -> AccountScope {
        guard let found = try await accounts.account(number: number) else {
            throw Fault(.notFound, "there is no account \(number)", kind: .account)
        }
        return found
    }
}
