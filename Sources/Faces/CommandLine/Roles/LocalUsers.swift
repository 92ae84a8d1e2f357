//  The users of an object store that runs alone: a file that its operator writes.

import Authority
import FoundationEssentials
import Model
import Objects
import Platform
import Synchronization

/// Who may use the store, as a file says it.
final class LocalUsers: KeyDirectory, AccountDirectory {
    /// One user. Users of one account see the same buckets.
    struct User: Codable, Sendable {
        var name: String
        /// Twelve digits.
        var account: String
        var accessKey: String
        var secretKey: String
        /// Names of managed policies; nil: everything is allowed.
        var policies: [String]?
        /// A policy document of the user's own.
        var policy: String?
    }

    private struct File: Codable { var users: [User] }

    private struct State: Sendable {
        var keys: [String: IdentifiedKey]
        var accounts: [String: AccountScope]
        var bytes: [UInt8]
        var looked: Instant
    }

    /// How often the file is looked at.
    private static let interval = Duration.seconds(2)
    static let bytesMax = 16 << 20

    private let path: String
    private let chance: Chance
    private let state: Mutex<State>

    /// Reads the file at `path`.
    ///
    /// - Throws: `notFound`, or `invalidParameter` with what is wrong in it.
    init(path: String, chance: Chance) throws(Fault) {
        self.path = path
        self.chance = chance
        state = Mutex(try LocalUsers.read(path, now: chance.now()))
    }

    /// Writes a file with one user of fresh keys, which only its owner may read.
    static func make(_ path: String, chance: Chance) throws(Fault) -> User {
        let credentials = Authority.Credentials(.permanent, chance: chance)
        var dice = chance.dice()
        let user = User(
            name: "admin", account: String(Int64.random(in: 100_000_000_000...999_999_999_999, using: &dice)),
            accessKey: credentials.key, secretKey: credentials.secret)
        try AtomicFile.write(try encoded(File(users: [user])), to: path, mode: 0o600)
        return user
    }

    private static func read(_ path: String, now: Instant) throws(Fault) -> State {
        guard let bytes = try AtomicFile.read(path, limit: bytesMax) else { throw Fault(.notFound, "there is no file \(path)") }
        let file: File
        do { file = try JSONDecoder().decode(File.self, from: Data(bytes)) } catch {
            throw Fault(.invalidParameter, "\(path) is no list of users", because: error)
        }
        var state = State(keys: [:], accounts: [:], bytes: bytes, looked: now)
        for user in file.users {
            guard user.account.utf8.count == 12, let number = UInt64(user.account) else {
                throw Fault(.invalidParameter, "\(path): the account of \(user.name) is not twelve digits")
            }
            let account = AccountScope(id: ID(bits: number), number: user.account)
            let key = IdentifiedKey(
                accessKey: user.accessKey, secret: .whole(user.secretKey),
                principal: .user(user.name, id: ID(bits: number), of: account), policies: try policies(of: user, path))
            guard state.keys.updateValue(key, forKey: user.accessKey) == nil else {
                throw Fault(.invalidParameter, "\(path): two users have the access key \(user.accessKey)")
            }
            state.accounts[user.account] = account
        }
        return state
    }

    private static func policies(of user: User, _ path: String) throws(Fault) -> [PolicyDocument] {
        var documents: [PolicyDocument] = []
        for name in user.policies ?? (user.policy == nil ? [ManagedPolicy.administratorAccess.name] : []) {
            guard let policy = ManagedPolicy.all.first(where: { $0.name == name }) else {
                throw Fault(.invalidParameter, "\(path): there is no policy \(name)")
            }
            documents.append(policy.document)
        }
        if let text = user.policy { documents.append(try PolicyDocument(parsing: text)) }
        return documents
    }

    /// What the file says now. One that cannot be read changes nothing.
    private func current() async -> State {
        let now = chance.now()
        let known = state.withLock { state in
            let known = state
            // Whoever looks first looks for all.
            if now >= known.looked + LocalUsers.interval { state.looked = now }
            return known
        }
        guard now >= known.looked + LocalUsers.interval else { return known }
        let path = path
        let fresh = try? await BlockingPool.run { () throws(Fault) -> State? in
            let bytes = try AtomicFile.read(path, limit: LocalUsers.bytesMax)
            return bytes == known.bytes ? nil : try LocalUsers.read(path, now: now)
        }
        guard let fresh = fresh ?? nil else { return known }
        state.withLock { $0 = fresh }
        return fresh
    }

    func identify(_ accessKey: String, signingIn scope: SigningScope?) async throws(Fault) -> IdentifiedKey? {
        await current().keys[accessKey]
    }

    func account(canonicalID: String) async throws(Fault) -> AccountScope? {
        await current().accounts.values.first { ObjectsService.canonicalID(of: $0.id) == canonicalID }
    }

    func account(_ id: ID<Account>) async throws(Fault) -> AccountScope? { await current().accounts.values.first { $0.id == id } }

    func account(number: String) async throws(Fault) -> AccountScope? { await current().accounts[number] }
}
