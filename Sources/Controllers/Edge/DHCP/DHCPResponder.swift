//  What the DHCP server answers (RFC 2131 section 4.3). Pure: a message, where it came in, and the
//  domain make an answer or none. There are no leases to remember: a port's MAC decides its address.

import Model

/// An answer and where it goes, to UDP port 68.
struct DHCPReply: Sendable, Equatable {
    enum Destination: Sendable, Equatable {
        /// 255.255.255.255 on the link that the request came in by.
        case broadcast
        /// The address is routed to the guest's link with a permanent neighbour, so it needs no ARP
        /// that an unconfigured guest could not answer.
        case unicast(IPv4Address)
    }

    var message: DHCPMessage
    var destination: Destination
    /// The address to send from: the server identifier.
    var source: IPv4Address
    /// The longest payload that the client takes, in bytes.
    var sizeMax: Int
}

enum DHCPResponder {
    /// Answers one message from a guest of `domain`.
    ///
    /// - Parameter interface: The index of the link that it came in by; nil if not known.
    /// - Returns: Nil where silence is the answer: another server's client, a relay, a MAC that is not
    ///   known or came in by another guest's link, DECLINE and RELEASE.
    static func respond(to message: DHCPMessage, interface: Int?, in domain: DomainTable) -> DHCPReply? {
        guard message.operation == 1, message.hardwareType == 1, message.hardwareLength == 6, message.relay.bits == 0,
            let kind = message.kind, let entry = domain.entry(mac: message.hardware)
        else { return nil }
        if let expected = entry.port.interfaceIndex, let interface, expected != interface { return nil }
        let answer = Answer(request: message, entry: entry, mtu: domain.domain.mtu)
        switch kind {
        case .discover: return message.option(.rapidCommit) != nil ? answer.acknowledge(rapid: true) : answer.offer()
        case .request: return answer.decide()
        case .inform: return answer.inform()
        case .decline, .release, .offer, .acknowledge, .refuse: return nil
        }
    }
}

/// The answers to one request of one port.
private struct Answer {
    let request: DHCPMessage
    let entry: DomainTable.Entry
    let mtu: Int

    var server: IPv4Address { entry.subnet.server }

    func offer() -> DHCPReply { grant(.offer, rapid: false) }
    func acknowledge(rapid: Bool) -> DHCPReply { grant(.acknowledge, rapid: rapid) }

    /// RFC 2131 section 4.3.2: the same message selects an offer, verifies an address after a reboot,
    /// renews, or rebinds; which one is seen by the fields that are set.
    func decide() -> DHCPReply? {
        if let chosen = request.option(.server) {
            guard chosen == server.bytes else { return nil }
        }
        let wanted = request.address(.requestedAddress) ?? request.clientAddress
        // Some clients select without naming an address again: the offer was theirs alone.
        if wanted.bits == 0, request.option(.server) == nil { return nil }
        return wanted.bits == 0 || wanted == entry.primaryAddress ? acknowledge(rapid: false) : refuse()
    }

    func inform() -> DHCPReply? {
        guard entry.port.addresses.contains(request.clientAddress) else { return nil }
        var reply = blank(.acknowledge)
        reply.clientAddress = request.clientAddress
        reply.options += configuration()
        return DHCPReply(message: reply, destination: .unicast(request.clientAddress), source: server, sizeMax: sizeMax)
    }

    private func refuse() -> DHCPReply {
        var reply = blank(.refuse)
        // A client that is told no may hold an address that is not routed here: only broadcast reaches it.
        reply.flags |= 0x8000
        reply.options.append(DHCPOption(.message, Array("the address is not this interface's".utf8)))
        return DHCPReply(message: reply, destination: .broadcast, source: server, sizeMax: sizeMax)
    }

    private func grant(_ kind: DHCPKind, rapid: Bool) -> DHCPReply {
        var reply = blank(kind)
        reply.yourAddress = entry.primaryAddress
        if kind == .acknowledge { reply.clientAddress = request.clientAddress }
        let lease = max(entry.subnet.leaseSeconds, 60)
        reply.options += [
            DHCPOption(.leaseSeconds, bigEndianBytes(lease)),
            DHCPOption(.renewSeconds, bigEndianBytes(lease / 2)),
            DHCPOption(.rebindSeconds, bigEndianBytes(lease / 8 * 7)),
        ]
        if rapid { reply.options.append(DHCPOption(.rapidCommit, [])) }
        reply.options += configuration()
        return DHCPReply(message: reply, destination: destination, source: server, sizeMax: sizeMax)
    }

    /// RFC 2131 section 4.1. A `ciaddr` is believed only if it is the port's own.
    private var destination: DHCPReply.Destination {
        if request.clientAddress == entry.primaryAddress { return .unicast(request.clientAddress) }
        return request.wantsBroadcast ? .broadcast : .unicast(entry.primaryAddress)
    }

    private func blank(_ kind: DHCPKind) -> DHCPMessage {
        var reply = DHCPMessage(
            operation: 2, transaction: request.transaction, flags: request.flags, hardware: request.hardware,
            options: [DHCPOption(.messageType, [kind.rawValue]), DHCPOption(.server, server.bytes)])
        // RFC 6842: a client that names itself recognises its answer by that name.
        if let client = request.option(.client) { reply.options.append(DHCPOption(.client, client)) }
        return reply
    }

    /// The payload's limit: the client's datagram size less the headers of IP and UDP.
    private var sizeMax: Int {
        guard let value = request.option(.messageSizeMax), value.count == 2 else { return 548 }
        return min(max(Int(bigEndian(value)), 576), max(mtu, 576)) - 28
    }

    /// What the client asked for, in its own order, or all if it asked for nothing in particular. The
    /// mask comes before the router, as RFC 2132 section 3.3 wants it. The MTU is told in any case: a
    /// guest that sends larger packets than the underlay carries loses them without a word.
    private func configuration() -> [DHCPOption] {
        let known = available()
        guard let wanted = request.option(.wanted), !wanted.isEmpty else { return known }
        var codes: [DHCPOption.Code] = []
        for raw in [DHCPOption.Code.subnetMask.rawValue] + wanted + [DHCPOption.Code.mtu.rawValue] {
            let code = DHCPOption.Code(rawValue: raw)
            if !codes.contains(code), raw != DHCPOption.Code.subnetMask.rawValue || wanted.contains(raw) { codes.append(code) }
        }
        return codes.compactMap { code in known.first { $0.code == code } }
    }

    private func available() -> [DHCPOption] {
        let subnet = entry.subnet
        var options = [DHCPOption(.subnetMask, subnet.prefix.netmask.bytes)]
        if let gateway = subnet.gateway { options.append(DHCPOption(.router, gateway.bytes)) }
        let routes = classlessRoutes()
        if !routes.isEmpty { options.append(DHCPOption(.routes, routes)) }
        if !subnet.nameServers.isEmpty { options.append(DHCPOption(.nameServers, subnet.nameServers.flatMap(\.bytes))) }
        options.append(DHCPOption(.mtu, [UInt8(truncatingIfNeeded: mtu >> 8), UInt8(truncatingIfNeeded: mtu)]))
        options.append(DHCPOption(.hostName, Array(entry.hostName.utf8)))
        if !subnet.domainName.isEmpty { options.append(DHCPOption(.domainName, Array(subnet.domainName.utf8))) }
        options.append(DHCPOption(.broadcast, subnet.prefix.last.bytes))
        if !subnet.timeServers.isEmpty { options.append(DHCPOption(.timeServers, subnet.timeServers.flatMap(\.bytes))) }
        let search = subnet.searchDomains.compactMap { DNSName($0)?.bytes }.flatMap { $0 }
        if !search.isEmpty { options.append(DHCPOption(.searchDomains, search)) }
        return options
    }

    /// RFC 3442. Only where the router option does not say it all, since whoever takes this option
    /// must ignore that one: the default route is then repeated here.
    private func classlessRoutes() -> [UInt8] {
        let subnet = entry.subnet
        var routes = subnet.routes
        if let gateway = subnet.gateway {
            let reachable = subnet.prefix.contains(gateway)
            guard !routes.isEmpty || !reachable else { return [] }
            // A gateway outside the subnet is made reachable on the link before it is used.
            if !reachable { routes.insert(EdgeRoute(destination: IPv4Prefix(host: gateway), via: IPv4Address(bits: 0)), at: 0) }
            routes.append(EdgeRoute(destination: .everything, via: gateway))
        } else {
            // Without a router the metadata service would be out of reach.
            routes.append(EdgeRoute(destination: IPv4Prefix(host: DomainTable.metadataService), via: subnet.server))
        }
        return routes.flatMap { route in
            let significant = (route.destination.length + 7) / 8
            return [UInt8(route.destination.length)] + route.destination.address.bytes.prefix(significant) + route.via.bytes
        }
    }
}
