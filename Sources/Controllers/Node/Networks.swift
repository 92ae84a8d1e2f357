//  This host's share of every network, and what its guests are told.

import Dataplane
import Edge
import Fabric
import Model

extension NodeController {
    /// Makes a routing domain as its entries say, or removes it.
    func lookAtDomain(_ id: String) async throws(Fault) -> Duration? {
        guard let domain = ID<Domain>(hex: id) else { return nil }
        guard let plan = try await state.view(id)?.plan(names) else {
            try await dataplane.removeDomain(domain)
            return nil
        }
        try await dataplane.apply(plan)
        return nil
    }

    /// Tells *edge* of the guests.
    ///
    /// - Returns: When to try again, if a domain is not served yet or no edge is there.
    func lookAtEdge() async throws(Fault) -> Duration? {
        guard services.serveGuests else { return nil }
        let guests = try await state.guests()
        var domains: [EdgeDomain] = []
        for id in await state.domains {
            guard let view = try await state.view(id), !view.isEmpty, let here = guests[id] else { continue }
            domains.append(
                EdgeDomain(
                    id: id, mtu: view.mtu,
                    subnets: view.subnetPrefixes.map { subnet in
                        EdgeSubnet(
                            id: "subnet-0\(subnet.id.hex)", prefix: subnet.prefix, gateway: subnet.prefix.gateway,
                            server: subnet.prefix.gateway,
                            nameServers: [subnet.prefix.nameServer], served: [subnet.prefix.nameServer], domainName: privateZone)
                    }, guests: here))
        }
        let document = EdgeDocument(
            generation: Int64(await state.generation.counter),
            settings: EdgeSettings(region: configuration.region, resolvers: configuration.resolvers), domains: domains)
        let problems: [EdgeProblem]
        do throws(Fault) { problems = try await services.apply(document) } catch  where error.code == .unavailable {
            // The document is kept by the link and told to the next edge.
            return .seconds(1)
        }
        for problem in problems {
            log.warning("a domain is not served", metadata: ["domain": "\(problem.domain)", "reason": "\(problem.reason)"])
        }
        return problems.isEmpty ? nil : .seconds(1)
    }

    private var privateZone: String {
        EdgeSettings(region: configuration.region).privateZone
    }
}
