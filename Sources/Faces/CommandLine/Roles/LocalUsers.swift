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
        /// What the file was last found to be when it could not be used.
        var refusal: Refusal?
    }

    private struct Refusal: Error, Sendable, Hashable {
        /// Nil: it could not be read.
        var bytes: [UInt8]?
        var fault: Fault
    }

    /// How often the file is looked at.
    private static let interval = Duration.seconds(2)
    static let bytesMax = 16 << 20

    private let path: String
    private let chance: Chance
    private let warn: @Sendable (Fault) -> Void
    private let state: Mutex<State>

    /// Reads the file at `path`.
    ///
    /// - Parameter warn: Told why what the file has become changes nothing, once for each content.
    /// - Throws: `notFound`, or `invalidParameter` with what is wrong in it.
    init(path: String, chance: Chance, warn: @escaping @Sendable (Fault) -> Void) throws(Fault) {
        self.path = path
        self.chance = chance
        self.warn = warn
        state = Mutex(try LocalUsers.parse(try LocalUsers.bytes(of: path), path, now: chance.now()))
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

    private static func bytes(of path: String) throws(Fault) -> [UInt8] {
        guard let bytes = try AtomicFile.read(path, limit: bytesMax) else { throw Fault(.notFound, "there is no file \(path)") }
        return bytes
    }

    private static func parse(_ bytes: [UInt8], _ path: String, now: Instant) throws(Fault) -> State {
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

    /// What the file says now. One that cannot be used changes nothing.
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
        guard let found = try? await BlockingPool.run({ LocalUsers.look(path, known, now: now) }) else { return known }
        switch found {
        case .success(let fresh):
            state.withLock { $0 = fresh }
            return fresh
        case .failure(let refusal):
            if refusal != known.refusal { warn(refusal.fault) }
            state.withLock { $0.refusal = refusal }
            return known
        }
    }

    /// Reads the file where it has changed.
    private static func look(_ path: String, _ known: State, now: Instant) -> Result<State, Refusal> {
        var read: [UInt8]?
        do throws(Fault) {
            let bytes = try bytes(of: path)
            read = bytes
            if let refusal = known.refusal, refusal.bytes == bytes { return .failure(refusal) }
            var fresh = known
            if bytes != known.bytes { fresh = try parse(bytes, path, now: now) }
            (fresh.looked, fresh.refusal) = (now, nil)
            return .success(fresh)
        } catch { return .failure(Refusal(bytes: read, fault: error)) }
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
