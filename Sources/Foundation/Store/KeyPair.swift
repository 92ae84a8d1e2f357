//  Key pairs in the store.

import Database
import Model

extension KeyPair {
    public static let table = Table(
        "key_pair",
        Field("id", \KeyPair.id),
        Field("account", \KeyPair.account),
        Field("name", \KeyPair.name),
        Field("type", \KeyPair.type),
        Field("fingerprint", \KeyPair.fingerprint),
        Field("public_key", \KeyPair.publicKey),
        Field("created", \KeyPair.created),
        Field("revision", \KeyPair.revision),
        make: KeyPair.init)
}

extension Reading {
    public func keyPair(named name: String, of account: ID<Account>) throws(Fault) -> KeyPair? {
        try all(KeyPair.table, where: "account = $1 AND name = $2", [account.value, .text(name)]).first
    }

    public func keyPairs(of account: ID<Account>) throws(Fault) -> [KeyPair] {
        try all(KeyPair.table, where: "account = $1 ORDER BY name LIMIT 10000", [account.value])
    }
}
