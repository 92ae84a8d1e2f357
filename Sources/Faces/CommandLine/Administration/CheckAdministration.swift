//  The operator's question whether all is in order: the store's invariants, and what a host should
//  have by the store, so that the asker can compare it with what the host has.

import Fabric
import GRPCCore
import Model
import Store

extension AdministrationService {
    func check(request: CheckRequest, context: ServerContext) async throws -> CheckReply {
        try await answering { () async throws(Fault) in
            let broken = try await Invariants.check(engine)
            var reply = request.host.isEmpty ? CheckReply() : try await held(by: request.host)
            reply.broken = broken
            return reply
        }
    }

    /// All that a host and its pool hold.
    private func held(by name: String) async throws(Fault) -> CheckReply {
        try await engine.read { tx throws(Fault) in
            guard let host = try tx.host(named: name) else {
                throw Fault(.notFound, "there is no host named \(name)", kind: .host)
            }
            var reply = CheckReply()
            var domains: Set<ID<Domain>> = []
            for holding in try tx.holdings(on: host.id, pool: host.pool) {
                switch holding.kind {
                case .machine:
                    let ports = try tx.ports(of: ID(stored: holding.thing))
                    domains.formUnion(ports.map(\.domain))
                    reply.machines.append(
                        HeldMachine.with {
                            $0.instance = UInt64(bitPattern: holding.thing)
                            $0.observed = holding.observed.rawValue
                            $0.ports = ports.map(\.id.bits)
                        })
                case .disk:
                    reply.disks.append(
                        HeldDisk.with {
                            $0.volume = UInt64(bitPattern: holding.thing)
                            $0.observed = holding.observed.rawValue
                        })
                case .image:
                    guard let image = try tx.find(Image.table, ID<Image>(stored: holding.thing)) else { continue }
                    reply.images.append(
                        HeldImage.with {
                            $0.image = image.id.bits
                            $0.purpose = image.purpose.rawValue
                            $0.digest = image.digest ?? ""
                        })
                }
            }
            for id in domains.sorted() {
                guard let domain = try tx.find(Domain.table, id) else { continue }
                reply.domains.append(
                    HeldDomain.with {
                        $0.domain = domain.id.bits
                        $0.vni = UInt32(clamping: domain.vni)
                    })
            }
            return reply
        }
    }
}
