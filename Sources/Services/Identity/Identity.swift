//  Accounts, users and access keys; and the session that a key yields.

import Authority
import Database
import Model
import Networks
import Store
import Synchronization

/// The identity service.
public struct IdentityService: KeyDirectory {
    let engine: any Engine
    let chance: Chance
    let seal: Seal
    let networks: NetworksService
    private let cache: CredentialCache

    public init(engine: any Engine, chance: Chance, seal: Seal, networks: NetworksService) {
        self.engine = engine
        self.chance = chance
        self.seal = seal
        self.networks = networks
        cache = CredentialCache()
    }

    /// A new account's first key. The secret is answered once and kept sealed.
    public struct NewAccount: Sendable {
        public var account: Account
        public var credentials: Credentials
    }

    /// The name of an account's first user, who may do everything in it.
    public static let administrator = "admin"

    /// Makes an account with an administrator, an access key and a default network.
    ///
    /// - Parameter ingress: What its default group lets in besides its own members.
    /// - Throws: `.alreadyExists` when the name is taken, `.invalidParameter` for a bad name.
    public func createAccount(
        named name: String, ingress: [(permission: Permission, description: String)] = []
    ) async throws(Fault) -> NewAccount {
        guard (3...63).contains(name.count), name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) })
        else {
            throw Fault(
                .invalidParameter, "An account's name has 3 to 63 letters, digits, dots, hyphens and underscores.", kind: .account)
        }
        let now = chance.now()
        let seed = chance.bits()
        let credentials = Credentials(.permanent, chance: chance)
        let sealed = try seal.seal(Array(credentials.secret.utf8), belonging: "access-key/\(credentials.key)", chance: chance)
        let account = try await engine.write { tx throws(Fault) in
            var dice = Dice(seed: seed)
            guard try tx.account(named: name) == nil else {
                throw Fault(.alreadyExists, "There is an account named \(name) already.", kind: .account)
            }
            var account = Account(id: dice.id(), number: "", name: name, state: .active, created: now, revision: 1)
            repeat {
                account.number = String(Int64.random(in: 100_000_000_000...999_999_999_999, using: &dice))
            } while try !tx.claim(account, in: Account.table)
            let user = User(id: dice.id(), account: account.id, name: IdentityService.administrator, created: now, revision: 1)
            tx.insert(user, into: User.table)
            tx.assign(ManagedPolicy.administratorAccess.name, to: user.id)
            tx.insert(
                AccessKey(
                    key: credentials.key, account: account.id, user: user.id, sealedSecret: sealed, active: true, created: now),
                into: AccessKey.table)
            try networks.addDefaults(tx, for: account.id, ingress: ingress, now: now, dice: &dice)
            return account
        }
        return NewAccount(account: account, credentials: credentials)
    }

    /// Makes a further user of an account, with an access key and managed policies.
    public func createUser(named name: String, of account: Account, policies: [ManagedPolicy]) async throws(Fault) -> Credentials {
        let now = chance.now()
        let seed = chance.bits()
        let credentials = Credentials(.permanent, chance: chance)
        let sealed = try seal.seal(Array(credentials.secret.utf8), belonging: "access-key/\(credentials.key)", chance: chance)
        try await engine.write { tx throws(Fault) in
            var dice = Dice(seed: seed)
            let user = User(id: dice.id(), account: account.id, name: name, created: now, revision: 1)
            guard try tx.claim(user, in: User.table) else {
                throw Fault(.alreadyExists, "User with name \(name) already exists.", kind: .user)
            }
            for policy in policies { tx.assign(policy.name, to: user.id) }
            tx.insert(
                AccessKey(
                    key: credentials.key, account: account.id, user: user.id, sealedSecret: sealed, active: true, created: now),
                into: AccessKey.table)
        }
        return credentials
    }

    /// Gives an account's administrator a further access key.
    ///
    /// - Throws: `.notFound` when there is no such account.
    public func addAccessKey(toAdministratorOf name: String) async throws(Fault) -> NewAccount {
        let now = chance.now()
        let credentials = Credentials(.permanent, chance: chance)
        let sealed = try seal.seal(Array(credentials.secret.utf8), belonging: "access-key/\(credentials.key)", chance: chance)
        let account = try await engine.write { tx throws(Fault) in
            guard let account = try tx.account(named: name),
                let user = try tx.user(named: IdentityService.administrator, of: account.id)
            else { throw Fault(.notFound, "There is no account named \(name).", kind: .account) }
            tx.insert(
                AccessKey(
                    key: credentials.key, account: account.id, user: user.id, sealedSecret: sealed, active: true, created: now),
                into: AccessKey.table)
            return account
        }
        return NewAccount(account: account, credentials: credentials)
    }

    public func accounts() async throws(Fault) -> [Account] {
        try await engine.read { tx throws(Fault) in try tx.all(Account.table, where: "TRUE ORDER BY created LIMIT 10000") }
    }

    public func account(named name: String) async throws(Fault) -> Account? {
        try await engine.read { tx throws(Fault) in try tx.account(named: name) }
    }

    public func account(number: String) async throws(Fault) -> Account? {
        try await engine.read { tx throws(Fault) in try tx.account(number: number) }
    }

    /// The owner of an access key; nil when there is none that is active.
    public func identify(_ accessKey: String) async throws(Fault) -> IdentifiedKey? {
        try await identify(accessKey, signingIn: nil)
    }

    /// The same: whatever a signature states, the whole secret is given here.
    public func identify(_ accessKey: String, signingIn scope: SigningScope?) async throws(Fault) -> IdentifiedKey? {
        let now = chance.now()
        if let known = cache.find(accessKey, now: now) { return known }
        guard
            let found = try await engine.readNow({ tx throws(Fault) in try tx.credential(accessKey) }),
            found.key.active, found.account.state == .active
        else { return nil }
        let secret = try seal.open(found.key.sealedSecret, belonging: "access-key/\(accessKey)")
        let scope = AccountScope(id: found.account.id, number: found.account.number)
        let documents = found.policies.compactMap { name in ManagedPolicy.all.first { $0.name == name }?.document }
        let identified = IdentifiedKey(
            accessKey: accessKey, secret: .whole(String(decoding: secret, as: UTF8.self)),
            principal: .user(found.user.name, id: found.user.id, of: scope),
            policies: documents)
        cache.keep(identified, for: accessKey, now: now)
        return identified
    }
}

/// Keys that were looked up a moment ago, so that a busy client costs no read and no unsealing
/// for each call. A key that is withdrawn works for at most `life` longer.
private final class CredentialCache: Sendable {
    private struct Entry {
        var identified: IdentifiedKey
        var until: Instant
    }

    private static let life = Duration.seconds(5)
    private static let entriesMax = 10_000
    private let entries = Mutex<[String: Entry]>([:])

    func find(_ key: String, now: Instant) -> IdentifiedKey? {
        entries.withLock { entries in
            guard let entry = entries[key], entry.until > now else { return nil }
            return entry.identified
        }
    }

    func keep(_ identified: IdentifiedKey, for key: String, now: Instant) {
        entries.withLock { entries in
            if entries.count >= CredentialCache.entriesMax { entries.removeAll() }
            entries[key] = Entry(identified: identified, until: now + CredentialCache.life)
        }
    }
}
