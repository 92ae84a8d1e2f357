//  Derived signing keys. One is good for a day, a region and a service; deriving it costs four
//  HMACs, so those in use are remembered.

import Authority
import Crypto
import Model
import Synchronization

extension SignatureV4 {
    /// A bounded memory of derived keys, shared by all calls of a face. Least recently used keys go
    /// first, by generations: what was used since the last turn survives the next.
    public final class SigningKeys: Sendable {
        private struct Name: Hashable {
            var accessKey: String
            var scope: Scope
        }

        private struct Entry {
            var secret: SigningSecret
            var key: SymmetricKey
        }

        private struct Generations {
            var young: [Name: Entry] = [:]
            var old: [Name: Entry] = [:]
        }

        private let generations = Mutex(Generations())
        private let generationMax: Int

        /// Remembers at most `keysMax` keys (at least 2).
        public init(keysMax: Int = 4096) { generationMax = max(1, keysMax / 2) }

        /// How many keys are remembered.
        public var count: Int { generations.withLock { $0.young.count + $0.old.count } }

        func key(for claim: Claim, secret: SigningSecret) -> SymmetricKey? {
            if case .derived = secret { return secret.key(in: claim.scope) }
            let name = Name(accessKey: claim.accessKey, scope: claim.scope)
            return generations.withLock { generations -> SymmetricKey? in
                let entry: Entry
                if let young = generations.young[name] {
                    entry = young
                } else if let old = generations.old[name] {
                    entry = old
                    insert(entry, name, &generations)
                } else {
                    return nil
                }
                // A key id whose secret was replaced must not answer for the old one.
                return entry.secret == secret ? entry.key : nil
            }
        }

        func keep(_ key: SymmetricKey, for claim: Claim, secret: SigningSecret) {
            let name = Name(accessKey: claim.accessKey, scope: claim.scope)
            generations.withLock { insert(Entry(secret: secret, key: key), name, &$0) }
        }

        private func insert(_ entry: Entry, _ name: Name, _ generations: inout Generations) {
            if generations.young.count >= generationMax, generations.young[name] == nil {
                generations.old = generations.young
                generations.young = [:]
            }
            generations.old[name] = nil
            generations.young[name] = entry
        }
    }
}
