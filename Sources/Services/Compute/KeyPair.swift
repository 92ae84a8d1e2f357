//  ssh key pairs. A created private key is answered once and kept nowhere.

import Authority
import Database
import Model
import Store

extension Action where Thing == KeyPair {
    public static let describe = Action("ec2:DescribeKeyPairs")
    public static let create = Action("ec2:CreateKeyPair")
    public static let importKey = Action("ec2:ImportKeyPair")
    public static let delete = Action("ec2:DeleteKeyPair")
}

/// A key pair with its tags.
public struct KeyPairView: Sendable {
    public var keyPair: KeyPair
    public var tags: [Tag]
}

extension ComputeService {
    /// The account's key pairs by name.
    public func keyPairs(by call: Call) async throws(Fault) -> [KeyPairView] {
        try await engine.read { tx throws(Fault) in
            try call.permitList(Action<KeyPair>.describe)
            return try tx.keyPairs(of: call.account()).map { pair throws(Fault) in
                KeyPairView(keyPair: pair, tags: try tx.tags(of: .keyPair, pair.id.stored))
            }
        }
    }

    /// Keeps a public key under a name.
    ///
    /// - Parameters:
    ///   - publicKey: One line as in `authorized_keys`.
    ///   - fingerprint: As EC2 shows it for this way of making.
    ///   - isImport: Which of the two actions is to be permitted.
    public func addKeyPair(
        name: String, type: KeyPair.Algorithm, publicKey: String, fingerprint: String, isImport: Bool, tags: [String: String],
        by call: Call
    ) async throws(Fault) -> KeyPair {
        try await engine.write(contending: call.contending) { tx throws(Fault) in
            var dice = call.dice
            try call.permit(isImport ? Action<KeyPair>.importKey : .create, context: call.requestTags(tags))
            let account = try call.account()
            let pair = KeyPair(
                id: dice.id(), account: account, name: name, type: type, fingerprint: fingerprint, publicKey: publicKey,
                created: call.now, revision: 1)
            if try tx.keyPair(named: name, of: account) != nil {
                throw Fault(.alreadyExists, "The keypair '\(name)' already exists.", kind: .keyPair)
            }
            try call.endIfDryRun()
            guard try tx.claim(pair, in: KeyPair.table) else {
                throw Fault(.alreadyExists, "The keypair '\(name)' already exists.", kind: .keyPair)
            }
            for (key, value) in tags {
                tx.set(Tag(account: account, kind: .keyPair, thing: pair.id.stored, key: key, value: value))
            }
            return pair
        }
    }

    /// Removes a key pair. One that does not exist is no error, as on EC2.
    ///
    /// - Returns: The id of the removed one.
    public func deleteKeyPair(name: String?, id: ID<KeyPair>?, by call: Call) async throws(Fault) -> ID<KeyPair>? {
        try await engine.write(contending: call.contending) { tx throws(Fault) in
            try call.permit(Action<KeyPair>.delete)
            let account = try call.account()
            var pair: KeyPair?
            if let id, let found = try tx.find(KeyPair.table, id), found.account == account { pair = found }
            if let name { pair = try tx.keyPair(named: name, of: account) }
            try call.endIfDryRun()
            guard let pair else { return nil }
            try tx.removeTags(of: .keyPair, pair.id.stored)
            try tx.run("DELETE FROM key_pair WHERE id = $1", [pair.id.value])
            return pair.id
        }
    }

    /// The public key with which a machine was launched, if it is still kept.
    static func publicKey(_ tx: Reading, of instance: Instance) throws(Fault) -> String? {
        guard let name = instance.keyName else { return nil }
        return try tx.keyPair(named: name, of: instance.account)?.publicKey
    }
}
