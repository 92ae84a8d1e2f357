//  Accounts, users and keys in the store.

import Database
import Model

extension Account {
    public static let table = Table(
        "account",
        Field("id", \Account.id),
        Field("number", \Account.number),
        Field("name", \Account.name),
        Field("state", \Account.state),
        Field("created", \Account.created),
        Field("revision", \Account.revision),
        make: Account.init)
}

extension User {
    public static let table = Table(
        "account_user",
        Field("id", \User.id),
        Field("account", \User.account),
        Field("name", \User.name),
        Field("created", \User.created),
        Field("revision", \User.revision),
        make: User.init)
}

extension AccessKey {
    public static let table = Table(
        "access_key",
        Field("key", \AccessKey.key),
        Field("account", \AccessKey.account),
        Field("account_user", \AccessKey.user),
        Field("sealed_secret", \AccessKey.sealedSecret),
        Field("active", \AccessKey.active),
        Field("created", \AccessKey.created),
        make: AccessKey.init)
}

extension Reading {
    public func account(number: String) throws(Fault) -> Account? {
        try all(Account.table, where: "number = $1", [.text(number)]).first
    }

    public func account(named name: String) throws(Fault) -> Account? {
        try all(Account.table, where: "name = $1", [.text(name)]).first
    }

    public func user(named name: String, of account: ID<Account>) throws(Fault) -> User? {
        try all(User.table, where: "account = $1 AND name = $2", [account.value, .text(name)]).first
    }

    /// The key as it stands in a signature, with its user, account and attached policies.
    public func credential(_ key: String) throws(Fault) -> (key: AccessKey, user: User, account: Account, policies: [String])? {
        guard let found = try find(AccessKey.table, key), let user = try find(User.table, found.user),
            let account = try find(Account.table, found.account)
        else { return nil }
        let policies = try values(
            "SELECT policy FROM assignment WHERE account_user = $1 ORDER BY policy", [user.id.value], as: String.self)
        return (found, user, account, policies)
    }
}

extension Writing {
    /// Gives a user a managed policy by name.
    public func assign(_ policy: String, to user: ID<User>) {
        post("INSERT INTO assignment (account_user, policy) VALUES ($1, $2) ON CONFLICT DO NOTHING", [user.value, .text(policy)])
    }
}
