//  The key service of a host: keys in a file, sealed by the master key, which is kept elsewhere.

import Authority
import Crypto
import FoundationEssentials
import Model
import Platform

/// A key of the key service.
public struct ServiceKey: Sendable, Hashable, Codable {
    public var id: String
    public var account: ID<Account>
    /// The account's twelve digits, which its full name holds.
    public var accountNumber: String
    public var created: Instant
    public var isEnabled: Bool
    /// Whether it was made for S3 when it was first wanted.
    public var isOwn: Bool
    fileprivate var sealed: [UInt8]
}

/// Keys in one file, which is replaced as a whole before anybody knows of a change.
public actor LocalKeyService: KeyService {
    // Files are written where that holds nobody up, and nothing comes between a change and its file.
    private let executor = BlockingExecutor(name: "karri.keys")
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }
    private let path: String
    private let seal: Seal
    private let chance: Chance
    private let region: String
    private var keys: [String: ServiceKey]

    /// Reads the file at `path`; there may be none yet.
    ///
    /// - Throws: `storage` where it cannot be read.
    public init(path: String, seal: Seal, chance: Chance, region: String) throws(Fault) {
        self.path = path
        self.seal = seal
        self.chance = chance
        self.region = region
        guard let bytes = try AtomicFile.read(path) else {
            keys = [:]
            return
        }
        do { keys = try JSONDecoder().decode([String: ServiceKey].self, from: Data(bytes)) } catch {
            throw Fault(.storage, "The key service's file \(path) cannot be read.", because: error)
        }
    }

    public var all: [ServiceKey] { keys.values.sorted { ($0.created, $0.id) < ($1.created, $1.id) } }

    /// Makes a key, durable when this returns.
    public func create(for account: AccountScope, isOwn: Bool = false) async throws(Fault) -> ServiceKey {
        let id = chance.uuid()
        let secret = SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) }
        let key = ServiceKey(
            id: id, account: account.id, accountNumber: account.number, created: chance.now(), isEnabled: true, isOwn: isOwn,
            sealed: try seal.seal(secret, belonging: "service-key/\(id)", chance: chance))
        try keep(key)
        return key
    }

    /// Lets a key be used, or no more.
    ///
    /// - Parameter name: In full, or the key's id.
    public func setEnabled(_ isEnabled: Bool, _ name: String) async throws(Fault) -> ServiceKey {
        var key = try known(name)
        key.isEnabled = isEnabled
        try keep(key)
        return key
    }

    /// The name that programs know a key by (AWS General Reference, "Amazon Resource Names").
    public nonisolated func fullName(of key: ServiceKey) -> String {
        ResourceName(service: "kms", region: region, account: key.accountNumber, resource: "key/\(key.id)").description
    }

    private func keep(_ key: ServiceKey) throws(Fault) {
        var changed = keys
        changed[key.id] = key
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        let bytes: [UInt8]
        do { bytes = Array(try encoder.encode(changed)) } catch {
            throw Fault(.internalError, "The key service's file could not be written.", because: error)
        }
        try AtomicFile.write(bytes, to: path)
        keys = changed
    }

    // MARK: KeyService

    public func name(of asked: String?, for account: AccountScope) async throws(Fault) -> String {
        guard let asked, asked != "alias/aws/s3" else {
            if let own = keys.values.first(where: { $0.isOwn && $0.account == account.id }) { return fullName(of: own) }
            return fullName(of: try await create(for: account, isOwn: true))
        }
        let key = try usable(asked)
        guard key.account == account.id else { throw Fault.unknownKey(asked) }
        return fullName(of: key)
    }

    public func seal(_ secret: [UInt8], under name: String, belonging: String) async throws(Fault) -> [UInt8] {
        let key = try opened(try usable(name))
        do {
            let box = try AES.GCM.seal(secret, using: key, authenticating: Data(belonging.utf8))
            return Array(box.combined ?? Data())
        } catch { throw Fault(.internalError, "A key could not be sealed.", because: error) }
    }

    public func open(_ sealed: [UInt8], under name: String, belonging: String) async throws(Fault) -> [UInt8] {
        let key = try opened(try usable(name))
        do {
            return Array(try AES.GCM.open(AES.GCM.SealedBox(combined: sealed), using: key, authenticating: Data(belonging.utf8)))
        } catch { throw Fault(.bodyIsDamaged, "A sealed key is damaged.", because: error) }
    }

    private func usable(_ name: String) throws(Fault) -> ServiceKey {
        let key = try known(name)
        guard key.isEnabled else { throw Fault(.keyIsDisabled, "\(fullName(of: key)) is disabled.") }
        return key
    }

    private func known(_ name: String) throws(Fault) -> ServiceKey {
        let id = name.split(separator: "/").last.map(String.init) ?? name
        guard let key = keys[id], !name.hasPrefix("arn:") || name == fullName(of: key) else { throw Fault.unknownKey(name) }
        return key
    }

    private func opened(_ key: ServiceKey) throws(Fault) -> SymmetricKey {
        SymmetricKey(data: try seal.open(key.sealed, belonging: "service-key/\(key.id)"))
    }
}

extension Fault.Code {
    /// A key that the key service has not, or not for this caller.
    public static let noSuchKey = Fault.Code(rawValue: "noSuchKey")
    public static let keyIsDisabled = Fault.Code(rawValue: "keyIsDisabled")
}

extension Fault {
    fileprivate static func unknownKey(_ name: String) -> Fault { Fault(.noSuchKey, "Invalid keyId '\(name)'") }
}
