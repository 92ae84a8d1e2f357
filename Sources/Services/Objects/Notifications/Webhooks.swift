//  Where messages may be sent: addresses that the operator has named, in a file that the command line writes.

import FoundationEssentials
import Model
import Outbound
import Platform
import Synchronization

/// An address that the operator lets buckets' owners send messages to.
public struct Webhook: Sendable, Hashable, Codable {
    public var name: String
    public var address: String
    /// Addresses of hosts that it may lead to although others may not.
    public var exceptions: [String]

    /// - Throws: `invalidParameter` for a name or an address that cannot be.
    public init(name: String, address: String, exceptions: [String] = []) throws(Fault) {
        let isName = name.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-") }
        guard (1...63).contains(name.utf8.count), isName else {
            throw Fault(.invalidParameter, "a webhook's name is 1 to 63 lower-case letters, digits and hyphens, not \(name)")
        }
        guard OutboundAddress(address) != nil else { throw Fault(.invalidParameter, "\(address) is no address of http or https") }
        self.name = name
        self.address = address
        self.exceptions = exceptions
    }

    /// As buckets' rules name it.
    public static func arn(of name: String, region: String) -> String { "arn:karri:sqs:\(region):\(name):webhook" }
}

/// The file of webhooks.
public final class Webhooks: Sendable {
    private static let bytesMax = 1 << 20
    /// How old what was read may be.
    private static let age = Duration.seconds(1)

    private let path: String
    private let state = Mutex<(known: [Webhook], read: ContinuousClock.Instant?)>(([], nil))

    /// - Parameter path: There may be no file yet.
    public init(path: String) { self.path = path }

    /// As they are now, sorted by name.
    public func all() throws(Fault) -> [Webhook] {
        guard let bytes = try AtomicFile.read(path, limit: Webhooks.bytesMax) else { return [] }
        do { return try JSONDecoder().decode([Webhook].self, from: Data(bytes)) } catch {
            throw Fault(.storage, "The file of webhooks \(path) cannot be read.", because: error)
        }
    }

    /// Keeps a webhook, in place of one of its name.
    public func add(_ webhook: Webhook) throws(Fault) { try write(try all().filter { $0.name != webhook.name } + [webhook]) }

    /// - Throws: `notFound`.
    public func remove(_ name: String) throws(Fault) {
        let before = try all()
        let after = before.filter { $0.name != name }
        guard after.count < before.count else { throw Fault(.notFound, "there is no webhook \(name)") }
        try write(after)
    }

    private func write(_ webhooks: [Webhook]) throws(Fault) {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            // The store's own user reads what the operator writes.
            try AtomicFile.write(Array(try encoder.encode(webhooks.sorted { $0.name < $1.name })), to: path, mode: 0o644)
        } catch let fault as Fault { throw fault } catch {
            throw Fault(.internalError, "Webhooks cannot be written.", because: error)
        }
    }

    /// The webhook of a name, as the file was a second ago at the earliest.
    func find(_ name: String) async throws(Fault) -> Webhook? {
        let now = ContinuousClock.now
        let (known, read) = state.withLock(\.self)
        if let read, now - read < Webhooks.age { return known.first { $0.name == name } }
        let found = try await BlockingPool.run { [self] () throws(Fault) in try all() }
        state.withLock { $0 = (found, now) }
        return found.first { $0.name == name }
    }
}
