//  Every name that the dataplane leaves in the kernel, made of the installation's mark, so that
//  removal finds exactly its own and clouds live side by side on one machine.

import Model
import Platform

/// Names, numbers and fixed addresses of one installation's dataplane.
public struct DataplaneNames: Sendable, Hashable {
    /// At most 6 lower-case letters and digits, so that a link's name fits the kernel's 15 bytes.
    public let mark: String

    /// - Throws: `Fault.invalidParameter` if the mark is empty, long, or of other characters.
    public init(mark: String) throws(Fault) {
        guard (1...6).contains(mark.utf8.count), mark.utf8.allSatisfy({ isLowerAlphanumeric($0) }) else {
            throw Fault(.invalidParameter, "the mark '\(mark)' is not one to six lower-case letters and digits")
        }
        self.mark = mark
    }

    public init(_ installation: Installation) throws(Fault) { try self.init(mark: installation.mark) }

    /// The name of a domain's network namespace.
    public func namespace(_ domain: ID<Domain>) -> String { "\(mark)-\(domain.hex)" }

    /// The domain whose namespace is so named, or nil for another's namespace.
    public func domain(ofNamespace name: some StringProtocol) -> ID<Domain>? {
        guard name.hasPrefix("\(mark)-") else { return nil }
        return ID(hex: name.dropFirst(mark.utf8.count + 1))
    }

    /// The host's end of a domain's way out.
    public func hostLink(vni: Int64) -> String { "\(mark)d\(sixDigits(vni))" }

    /// A domain's tunnel, until it is moved into its namespace.
    func tunnelLink(vni: Int64) -> String { "\(mark)v\(sixDigits(vni))" }

    /// The name of a port's tap: 40 of the id's bits, in base 32.
    public func tap(_ port: ID<Port>) -> String {
        let digits = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
        // A mixing step, so that ids which differ in few bits still get names that differ.
        let mixed = (port.bits ^ port.bits >> 29) &* 0x9e37_79b9_7f4a_7c15
        let letters = (0..<8).map { digits[Int(mixed >> UInt64(59 - 5 * $0) & 31)] }
        return "\(mark)t\(String(decoding: letters, as: UTF8.self))"
    }

    /// Begins the names of the host's ends, for firewalls that match by prefix.
    public var hostLinkPrefix: String { "\(mark)d" }

    /// The nftables table, in the host's namespace and in each domain's.
    var table: String { mark }

    /// The number that marks the installation's links on the host (a device group) and its table of
    /// routes: beyond all small numbers that others choose by hand.
    public var number: UInt32 {
        let hash = mark.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
        return hash & 0x3fff_ffff | 0x4000_0000
    }

    /// Every guest's gateway, on each tap.
    public static let gatewayMAC = MACAddress(bits: 0x0200_0000_0001)
    /// The host's end of a domain's way out, and the domain's end.
    static let hostLinkMAC = MACAddress(bits: 0x0200_0000_0101)
    static let wayOutMAC = MACAddress(bits: 0x0200_0000_0102)
    /// Next hops on that link. No device holds them: each side has a permanent neighbour.
    static let hostLinkHop = IPv4Address(169, 254, 65, 1)
    static let wayOutHop = IPv4Address(169, 254, 65, 2)
    static let linkLocal = IPv4Prefix(containing: IPv4Address(169, 254, 0, 0), length: 16) ?? .everything
    /// Where guests ask for metadata, and a resolver's fixed address, as on EC2.
    public static let metadataAddress = IPv4Address(169, 254, 169, 254)
    public static let fixedNameServer = IPv4Address(169, 254, 169, 253)

    /// The MAC of a host's tunnels: it follows from the host's underlay address.
    public static func tunnelMAC(_ underlay: IPv4Address) -> MACAddress {
        MACAddress(local: 0x01_0000_0000 | UInt64(underlay.bits))
    }

    /// The links of a domain's namespace that are no guest's.
    static let wayOut = "out"
    static let tunnel = "vx"

    private func sixDigits(_ vni: Int64) -> String { String(hexDigits(UInt64(bitPattern: vni)).suffix(6)) }
}

private func isLowerAlphanumeric(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
}
