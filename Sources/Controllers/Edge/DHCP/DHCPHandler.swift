//  The DHCP server's channel: one socket for all links of a domain, told apart by packet info.

import Logging
import Model
import NIOCore

final class DHCPHandler: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let service: EdgeService
    private let domain: String
    private let sender: DatagramSender
    private let limits: RateLimits<Int>

    init(service: EdgeService, domain: String, sender: DatagramSender) {
        self.service = service
        self.domain = domain
        self.sender = sender
        limits = RateLimits(perSecond: service.limits.leasesPerSecond)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let envelope = unwrapInboundIn(data)
        service.count { $0.dhcpReceived += 1 }
        let interface = envelope.metadata?.packetInfo?.interfaceIndex
        guard limits.admit(interface ?? 0), let table = service.state.domain(domain),
            let message = DHCPMessage(parsing: Array(envelope.data.readableBytesView)),
            let reply = DHCPResponder.respond(to: message, interface: interface, in: table)
        else {
            service.count { $0.dropped += 1 }
            return
        }
        let target: IPv4Address =
            switch reply.destination {
            case .broadcast: IPv4Address(bits: .max)
            case .unicast(let address): address
            }
        let bytes = reply.message.serialized(limit: reply.sizeMax)
        if sender.send(bytes, to: target, port: 68, from: reply.source, interface: interface ?? 0) {
            service.count { $0.dhcpAnswered += 1 }
        } else {
            service.log.debug("a DHCP answer could not be sent", metadata: ["domain": "\(domain)", "to": "\(target)"])
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Errors of single datagrams; the socket serves on.
        service.log.debug("DHCP socket", metadata: ["domain": "\(domain)", "error": "\(error)"])
    }
}
