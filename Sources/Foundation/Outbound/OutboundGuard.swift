//  Which addresses may be dialled for somebody who is not to reach the hosts themselves: a name that a
//  tenant chose may lead anywhere.

import Model

/// Refuses addresses that lead to this host, to the link or to the hosts' own network.
public struct OutboundGuard: Sendable {
    /// Addresses of this host, four or sixteen bytes each.
    private let own: Set<[UInt8]>
    /// Networks by which the hosts reach each other.
    private let underlay: [IPv4Prefix]

    public init(own: Set<[UInt8]>, underlay: [IPv4Prefix] = []) {
        self.own = own
        self.underlay = underlay
    }

    /// Ranges that lead nowhere else (RFC 6890): this network, loopback, the link, benchmarks, multicast and what is reserved.
    private static let special = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"]
        .compactMap { IPv4Prefix($0) }

    /// Whether an address may be dialled.
    ///
    /// - Parameter address: Four or sixteen bytes in network order; of another length is none.
    public func allows(_ address: [UInt8]) -> Bool {
        guard !own.contains(address) else { return false }
        switch address.count {
        case 4: return allows(IPv4Address(address[0], address[1], address[2], address[3]))
        case 16: return allowsIPv6(address)
        default: return false
        }
    }

    private func allows(_ address: IPv4Address) -> Bool {
        !OutboundGuard.special.contains { $0.contains(address) } && !underlay.contains { $0.contains(address) }
    }

    private func allowsIPv6(_ address: [UInt8]) -> Bool {
        // Addresses of IPv4 in other clothes: mapped, compatible (RFC 4291), and translated (RFC 6052). The unspecified
        // address and loopback are among the compatible ones.
        let isMapped = address[..<10].allSatisfy { $0 == 0 } && address[10] == 0xff && address[11] == 0xff
        let isCompatible = address[..<12].allSatisfy { $0 == 0 }
        let isTranslated = Array(address[..<12]) == [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0]
        if isMapped || isCompatible || isTranslated { return allows(Array(address[12...])) }
        // 6to4 (RFC 3056).
        if address[0] == 0x20, address[1] == 0x02 { return allows(Array(address[2..<6])) }
        let isOfLink = address[0] == 0xfe && address[1] & 0xc0 == 0x80
        let isMulticast = address[0] == 0xff
        return !isOfLink && !isMulticast
    }
}
