//  Firewalls that drop what is forwarded, made by their own programs, and real packets past them.

import Model
import Platform
import Testing

@testable import Dataplane

@Suite struct ObstacleTests {
    @Test(arguments: [
        (
            [
                "iptables-nft -P FORWARD DROP", "iptables-nft -N DOCKER-USER", "iptables-nft -A DOCKER-USER -j RETURN",
                "iptables-nft -A FORWARD -j DOCKER-USER",
            ], ForwardingObstacle.Owner.docker
        ),
        (["iptables-nft -N ufw-before-forward", "iptables-nft -P FORWARD DROP"], .ufw),
        (
            ["nft add table inet fw", "nft add chain inet fw forwarded { type filter hook forward priority 0 ; policy drop ; }"],
            .other
        ),
        (
            [
                "nft add table ip fw", "nft add chain ip fw forwarded { type filter hook forward priority 0 ; }",
                "nft add rule ip fw forwarded tcp dport 1 accept", "nft add rule ip fw forwarded reject",
            ], .other
        ),
    ])
    func foundOvercomeAndGivenBack(_ commands: [String], _ owner: ForwardingObstacle.Owner) async throws {
        try await OneHost.with { world in
            #expect(try await world.driver.obstacles() == [])
            for command in commands {
                try await Command.run(
                    "nsenter", ["--net=/run/netns/\(world.host)"] + command.split(separator: " ").map(String.init))
            }
            let before = try await world.lab.listing()
            try await Probe.check([.tcp(world.a, world.lab.outside, "192.0.2.1", 8000, "", "dropped")], timeoutSeconds: 0.6)
            let found = try await world.driver.obstacles()
            #expect(found.map(\.owner) == [owner])
            #expect(found.map(\.isOvercome) == [false])
            for obstacle in found { try await world.driver.overcome(obstacle) }
            #expect(try await world.driver.obstacles().map(\.isOvercome) == [true])
            for obstacle in found { try await world.driver.overcome(obstacle) }
            try await Probe.check([
                .tcp(world.a, world.lab.outside, "192.0.2.1", 8001, "192.0.2.11", "accepted, out"),
                .tcp(world.host, world.a, "198.18.0.5", 22, "192.0.2.11", "from the host"),
                .icmp(world.a, "198.18.0.6", "ok", "between guests"),
            ])
            try await world.driver.removeAccepts()
            expectSame(try await world.lab.listing(), before, "accepts are taken back")
        }
    }
}
