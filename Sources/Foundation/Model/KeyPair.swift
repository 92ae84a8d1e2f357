//  ssh keys by name. The cloud keeps the public half only.

/// An ssh public key that machines are launched with.
public struct KeyPair: Identified, Sendable, Hashable {
    public static let kind = Kind.keyPair

    public var id: ID<KeyPair>
    public var account: ID<Account>
    public var name: String
    public var type: Algorithm
    public var fingerprint: String
    /// One line as in `authorized_keys`.
    public var publicKey: String
    public var created: Instant
    public var revision: Int64

    public init(
        id: ID<KeyPair>, account: ID<Account>, name: String, type: Algorithm, fingerprint: String, publicKey: String,
        created: Instant, revision: Int64
    ) {
        self.id = id
        self.account = account
        self.name = name
        self.type = type
        self.fingerprint = fingerprint
        self.publicKey = publicKey
        self.created = created
        self.revision = revision
    }
}

extension KeyPair {
    public enum Algorithm: String, Sendable, Hashable, Codable { case rsa, ed25519 }
}
