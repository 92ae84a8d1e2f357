//  What the operator chose for this host, as `karri up` wrote it: every process reads it at its
//  start. It holds no secret, so that anyone may look how the cloud is set up.

import Dataplane
import Model
import Platform
import Supervisor

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The settings of one installation.
public struct Configuration: Sendable, Hashable, Codable {
    public var region = "karri-1"
    /// Where the AWS face listens. Only a loopback address may be served without TLS.
    public var address = "127.0.0.1"
    public var port = 8773
    /// Whether, and with whose certificate, the API is served over TLS.
    public var security = APISecurity.none
    /// The name or address by which clients reach the API; nil for the address that it listens on.
    public var advertised: String?
    /// What a certificate of the cloud's own is for, besides.
    public var otherNames: [String] = []
    /// Where the operator's meters and health are read, on loopback; nil for a cloud of an earlier release.
    public var metersPort: Int?
    /// The addresses of the outside that machines get.
    public var publicRange: IPv4Prefix
    /// Ranges that were the public one before: machines may still have addresses of them.
    public var earlierRanges: [IPv4Prefix] = []
    public var publicMode = PublicMode.translated
    /// The link to the outside; nil where there is none.
    public var uplink: String?
    /// Octets that guests' packets may have.
    public var guestMTU: Int64 = 1450
    /// Virtual processors that are promised for each real one.
    public var overcommitment: Int64 = 16
    /// How long records of the object store's calls wait for others before they are put into a bucket, in seconds.
    public var accessLogInterval = ChosenTime.accessLogInterval.standard
    /// How many hosts are simulated instead of running machines on this one; 0 on a real cloud.
    public var simulatedHosts = 0
    /// How long a day of the object store's lifecycle rules is, in seconds.
    public var lifecycleDay = ChosenTime.lifecycleDay.standard
    /// libpq's connection string without a password; nil for SQLite in the installation's own folder.
    public var store: String?
    /// Whether `karri up` makes the starter images, Debian among them, and an AWS profile.
    public var wantsImages = true
    public var wantsDebian = true
    public var writesProfile = true
    /// Who got an AWS profile, so that uninstall finds it.
    public var profileOwner: String?

    enum CodingKeys: String, CodingKey {
        case region, address, port, security, advertised, otherNames, metersPort, publicRange, earlierRanges, publicMode, uplink
        case guestMTU, overcommitment, simulatedHosts, store, wantsImages, wantsDebian, writesProfile, profileOwner
        case accessLogInterval = "accessLogSeconds"
        case lifecycleDay = "lifecycleDaySeconds"
    }

    public init(publicRange: IPv4Prefix) { self.publicRange = publicRange }

    /// What a file of an earlier release does not name has its default.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(publicRange: try values.decode(IPv4Prefix.self, forKey: .publicRange))
        region = try values.decodeIfPresent(String.self, forKey: .region) ?? region
        address = try values.decodeIfPresent(String.self, forKey: .address) ?? address
        port = try values.decodeIfPresent(Int.self, forKey: .port) ?? port
        security = try values.decodeIfPresent(APISecurity.self, forKey: .security) ?? security
        advertised = try values.decodeIfPresent(String.self, forKey: .advertised)
        otherNames = try values.decodeIfPresent([String].self, forKey: .otherNames) ?? otherNames
        earlierRanges = try values.decodeIfPresent([IPv4Prefix].self, forKey: .earlierRanges) ?? earlierRanges
        metersPort = try values.decodeIfPresent(Int.self, forKey: .metersPort)
        publicMode = try values.decodeIfPresent(PublicMode.self, forKey: .publicMode) ?? publicMode
        uplink = try values.decodeIfPresent(String.self, forKey: .uplink)
        guestMTU = try values.decodeIfPresent(Int64.self, forKey: .guestMTU) ?? guestMTU
        overcommitment = try values.decodeIfPresent(Int64.self, forKey: .overcommitment) ?? overcommitment
        accessLogInterval = try values.decodeIfPresent(Int64.self, forKey: .accessLogInterval) ?? accessLogInterval
        simulatedHosts = try values.decodeIfPresent(Int.self, forKey: .simulatedHosts) ?? simulatedHosts
        lifecycleDay = try values.decodeIfPresent(Int64.self, forKey: .lifecycleDay) ?? lifecycleDay
        store = try values.decodeIfPresent(String.self, forKey: .store)
        wantsImages = try values.decodeIfPresent(Bool.self, forKey: .wantsImages) ?? wantsImages
        wantsDebian = try values.decodeIfPresent(Bool.self, forKey: .wantsDebian) ?? wantsDebian
        writesProfile = try values.decodeIfPresent(Bool.self, forKey: .writesProfile) ?? writesProfile
        profileOwner = try values.decodeIfPresent(String.self, forKey: .profileOwner)
    }

    /// The settings that processes go by: `karri up` alone reads the others, and restarts nothing for them.
    var ofProcesses: Configuration {
        var copy = self
        (copy.wantsImages, copy.wantsDebian, copy.writesProfile, copy.profileOwner) = (true, true, true, nil)
        return copy
    }

    public var zone: String { region + "a" }
    /// All ranges that this host answers for.
    public var ranges: [IPv4Prefix] { [publicRange] + earlierRanges }
    /// What clients dial: a DNS name or an IPv4 address.
    public var host: String { advertised ?? address }
    public var authority: String { "\(host):\(port)" }
    public var endpoint: String { "\(security == .none ? "http" : "https")://\(authority)" }
    /// All that a certificate of the cloud's own is for.
    public var names: [String] {
        var names: [String] = []
        for name in [host, address] + otherNames + ["localhost", "127.0.0.1"] where name != "0.0.0.0" && !names.contains(name) {
            names.append(name)
        }
        return names
    }
    /// Simulated machines have no use for a disk of Debian's.
    var preparesDebian: Bool { wantsImages && wantsDebian && !isSimulated }
    public var isSimulated: Bool { simulatedHosts > 0 }

    /// The addresses of the range that machines may have.
    public var externalRange: ExternalRange {
        // The ends of a range of its own are left out: old stacks take them for broadcasts. A part of
        // the uplink's network has no ends of its own.
        let whole = publicMode == .proxyARP || publicRange.length > 30
        return ExternalRange(
            prefix: publicRange, first: whole ? publicRange.first : publicRange.first.advanced(by: 1) ?? publicRange.first,
            last: whole ? publicRange.last : publicRange.last.advanced(by: -1) ?? publicRange.last)
    }

    /// Refuses what no cloud can be made of.
    ///
    /// - Throws: `.invalidParameter`.
    public func check() throws(Fault) {
        let letters = region.utf8.allSatisfy { (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2d }
        guard (3...32).contains(region.utf8.count), letters, region.first?.isLetter == true, region.last != "-" else {
            throw Fault(.invalidParameter, "a region's name is 3 to 32 lower-case letters, digits and hyphens, not \(region)")
        }
        guard (1...65535).contains(port) else { throw Fault(.invalidParameter, "\(port) is not a port") }
        guard metersPort.map({ (1...65535).contains($0) && $0 != port }) ?? true else {
            throw Fault(.invalidParameter, "the meters need a port of their own from 1 to 65535 (--meters-port)")
        }
        try Configuration.checkListener(
            address, isSecure: security != .none, remedy: "--tls own, or --tls-certificate and --tls-key, or --address 127.0.0.1")
        guard Configuration.isHost(host), host != "0.0.0.0" else {
            throw Fault(.invalidParameter, "\(host) is not a name or an IPv4 address that clients could dial: --endpoint-name")
        }
        guard (8...32).contains(publicRange.length) else {
            throw Fault(.invalidParameter, "the public range \(publicRange) is not between a /8 and a /32")
        }
        guard (1280...65000).contains(guestMTU) else { throw Fault(.invalidParameter, "an MTU of \(guestMTU) cannot be") }
        try ChosenTime.accessLogInterval.check(accessLogInterval)
        guard (1...64).contains(overcommitment) else {
            throw Fault(.invalidParameter, "overcommitment is 1 to 64 virtual processors for each real one")
        }
        try ChosenTime.lifecycleDay.check(lifecycleDay)
        guard (0...1000).contains(simulatedHosts) else { throw Fault(.invalidParameter, "0 to 1000 hosts are simulated") }
        if let store, store.lowercased().contains("password") {
            throw Fault(
                .invalidParameter, "the connection string holds no password: use a socket, or ~/.pgpass of the cloud's user")
        }
    }

    /// Refuses to serve signed requests in the clear to anybody beyond this host.
    ///
    /// - Parameter remedy: The options that would do.
    /// - Throws: `.invalidParameter`, for what is no IPv4 address as well.
    static func checkListener(_ address: String, isSecure: Bool, remedy: String) throws(Fault) {
        guard let listening = IPv4Address(address) else { throw Fault(.invalidParameter, "\(address) is not an IPv4 address") }
        guard listening.isLoopback || isSecure else {
            throw Fault(.invalidParameter, "on \(address) Karri serves over TLS only: \(remedy)")
        }
    }

    /// Whether a text is a DNS name (RFC 1123) or an IPv4 address.
    static func isHost(_ text: String) -> Bool {
        if IPv4Address(text) != nil { return true }
        let labels = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        // A last label of digits only would be read as an address.
        guard text.utf8.count <= 253, let last = labels.last, last.contains(where: { !isDigit($0) }) else { return false }
        return labels.allSatisfy { label in
            (1...63).contains(label.count) && label.first != UInt8(ascii: "-") && label.last != UInt8(ascii: "-")
                && label.allSatisfy {
                    isDigit($0) || (0x61...0x7a).contains($0) || (0x41...0x5a).contains($0) || $0 == UInt8(ascii: "-")
                }
        }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    // MARK: - The file

    static func path(_ installation: Installation) -> String { installation.configuration + "/karri.json" }

    /// - Returns: Nil where there is no installation.
    /// - Throws: `.storage` for a file that is not a configuration.
    public static func read(_ installation: Installation) throws(Fault) -> Configuration? {
        guard let bytes = try AtomicFile.read(path(installation), limit: 1 << 20) else { return nil }
        do {
            return try JSONDecoder().decode(Configuration.self, from: Data(bytes))
        } catch {
            throw Fault(.storage, "\(path(installation)) cannot be read: mend it, or remove it and run `karri up`", because: error)
        }
    }

    /// The configuration that a process needs to do anything.
    static func require(_ installation: Installation) throws(Fault) -> Configuration {
        guard let configuration = try read(installation) else {
            throw Fault(.notFound, "there is no cloud here (\(path(installation)) is missing): `karri up` makes one")
        }
        return configuration
    }

    public func write(_ installation: Installation) throws(Fault) {
        try AtomicFile.write(try encoded(self), to: Configuration.path(installation), mode: 0o644)
    }
}

/// How the API's listener is secured.
public enum APISecurity: Sendable, Hashable, Codable {
    /// Plain HTTP, on a loopback address.
    case none
    /// By an authority of the cloud's own.
    case own
    /// By files of the operator's, absolute paths in PEM.
    case files(certificate: String, key: String)

    /// Nil for plain HTTP.
    func source(names: [String]) -> CertificateSource? {
        switch self {
        case .none: nil
        case .own: .own(names: names)
        case .files(let certificate, let key): .files(certificate: certificate, key: key)
        }
    }
}

/// JSON as people read it.
func encoded(_ value: some Encodable) throws(Fault) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    do {
        return Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
    } catch { throw Fault(.internalError, "a file's content cannot be encoded", because: error) }
}
