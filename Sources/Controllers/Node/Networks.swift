//  This host's share of every network, and what its guests are told.

import Dataplane
import Edge
import Fabric
import Model

extension NodeController {
    /// Makes a routing domain as its entries say, or removes it.
    func lookAtDomain(_ id: String) async throws(Fault) -> Duration? {
        guard let domain = ID<Domain>(hex: id) else { return nil }
        return try await turns.pass("domain \(id)") { () async throws(Fault) in try await matchDomain(domain, id) }
    }

    private func matchDomain(_ domain: ID<Domain>, _ id: String) async throws(Fault) -> Duration? {
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
        return try await turns.pass("edge") { () async throws(Fault) in try await matchEdge() }
    }

    private func matchEdge() async throws(Fault) -> Duration? {
        let document = try await state.edgeDocument(
            EdgeSettings(region: configuration.region, resolvers: configuration.resolvers))
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
}
