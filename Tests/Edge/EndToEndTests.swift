//  Real clients in network namespaces against an edge whose sockets the link opened there.

import Glibc
import Logging
import Model
import Platform
import Testing

@testable import Edge

@Suite struct EndToEndTests {
    private func document(_ domains: [EdgeDomain], generation: Int64 = 1, settings: EdgeSettings = Fixture.settings) -> EdgeDocument
    {
        EdgeDocument(generation: generation, settings: settings, domains: domains)
    }

    /// Runs busybox's client in the foreground and prints what it hands to its script.
    private static let udhcpc = """
        cat > /tmp/$1.sh <<'END'
        #!/bin/sh
        case $1 in
        bound)
          echo "$ip/$mask mtu=$mtu router=$router dns=$dns host=$hostname.$domain server=$serverid lease=$lease"
          ip addr add $ip/$mask dev $interface && ip route add default via $router;;
        nak) echo "refused";;
        esac
        END
        chmod 755 /tmp/$1.sh
        busybox udhcpc -i eth0 -s /tmp/$1.sh -f -n -q -t 10 -T 1 -O mtu -O staticroutes $2 2>/dev/null
        status=$?
        rm -f /tmp/$1.sh
        exit $status
        """

    private func lease(_ network: GuestNetwork, _ guest: GuestNetwork.Guest, _ more: String = "") async throws -> String {
        try await network.run(in: guest, "sh", ["-c", EndToEndTests.udhcpc, "sh", guest.namespace, more]).trimmed
    }

    @Test func udhcpcGetsItsLease() async throws {
        try await GuestNetwork.with(guests: 2) { network in
            try await Bench().withEdge { link in
                #expect(try await link.apply(document([network.domain()])) == [])
                let lease = try await lease(network, network.guests[0])
                #expect(
                    lease
                        == "10.0.0.5/24 mtu=1450 router=10.0.0.1 dns=10.0.0.2 host=ip-10-0-0-5.ec2.internal server=10.0.0.1 lease=3600"
                )
                #expect(try await self.lease(network, network.guests[1], "-B").hasPrefix("10.0.0.6/24"), "by broadcast")
                let id = try await network.run(
                    in: network.guests[0], "curl", ["-s", "-m5", "http://169.254.169.254/latest/meta-data/instance-id"])
                #expect(id == "i-\(network.name)0")
                let health = try await link.health()
                #expect(health.generation == 1 && health.domains == 1 && health.counters.dhcpAnswered >= 4)
            }
        }
    }

    /// A guest that takes its neighbour's MAC gets nothing, since it came in by its own link.
    @Test func aForgedHardwareAddressIsIgnored() async throws {
        try await GuestNetwork.with(guests: 2) { network in
            try await Bench().withEdge { link in
                try await link.apply(document([network.domain()]))
                let forger = network.guests[1]
                try await Command.run("ip", ["-n", forger.namespace, "link", "set", "eth0", "address", "\(network.guests[0].mac)"])
                #expect(try await lease(network, forger, "-B -t 3") == "status 1")
            }
        }
    }

    /// Two tenants with one range: each guest hears of itself.
    @Test func domainsMayOverlap() async throws {
        try await GuestNetwork.with { first in
            try await GuestNetwork.with { second in
                try await Bench().withEdge { link in
                    #expect(try await link.apply(document([first.domain(), second.domain()])) == [])
                    for network in [first, second] {
                        let guest = network.guests[0]
                        try await network.configure(guest)
                        let url = "http://169.254.169.254/latest/meta-data/instance-id"
                        #expect(try await network.run(in: guest, "curl", ["-s", "-m5", url]) == "i-\(network.name)0")
                    }
                    // A domain that left the document is served no more.
                    #expect(try await link.apply(document([second.domain()], generation: 2)) == [])
                    let gone = try await first.run(in: first.guests[0], "curl", ["-s", "-m2", "http://169.254.169.254/"])
                    #expect(gone == "status 7", "refused")
                    let kept = try await second.run(
                        in: second.guests[0], "curl", ["-s", "-m5", "-o/dev/null", "http://169.254.169.254/"])
                    #expect(kept.isEmpty)
                }
            }
        }
    }

    @Test func metadataTokensOverTheWire() async throws {
        try await GuestNetwork.with { network in
            try await Bench().withEdge { link in
                let options = EdgeMetadataOptions(tokensRequired: true, hopLimit: 2)
                try await link.apply(document([network.domain(options, userData: "#!/bin/sh\n")]))
                let guest = network.guests[0]
                try await network.configure(guest)
                let script = """
                    H=http://169.254.169.254
                    curl -s -o /dev/null -w '%{http_code} ' $H/latest/meta-data/ami-id
                    T=$(curl -s -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $H/latest/api/token)
                    curl -s -w ' %{http_code} ' -H "X-aws-ec2-metadata-token: $T" $H/latest/meta-data/ami-id
                    curl -s -I -H "X-aws-ec2-metadata-token: $T" $H/latest/user-data | tr -d '\\r' | grep -i '^content-length'
                    curl -s -H "X-aws-ec2-metadata-token: $T" $H/latest/user-data | head -1
                    curl -s -0 -o /dev/null -w '%{http_code} ' -H "X-aws-ec2-metadata-token: $T" $H/
                    curl -s -o /dev/null -o /dev/null -w '%{num_connects}' -H "X-aws-ec2-metadata-token: $T" $H/ $H/latest/
                    """
                let said = try await network.run(in: guest, "sh", ["-c", script]).trimmed
                #expect(
                    said.lowercased() == "401 ami-01 200 content-length: 10\n#!/bin/sh\n200 10", "the last: one connection for two")
                let busybox = """
                    T=$(printf 'PUT /latest/api/token HTTP/1.0\\r\\nX-aws-ec2-metadata-token-ttl-seconds: 60\\r\\nContent-Length: 0\\r\\n\\r\\n' \
                      | busybox nc 169.254.169.254 80 | tr -d '\\r' | tail -1)
                    busybox wget -q -O - --header "X-aws-ec2-metadata-token: $T" http://169.254.169.254/latest/meta-data/placement/region
                    """
                #expect(try await network.run(in: guest, "sh", ["-c", busybox]) == "us-east-1")
            }
        }
    }

    /// The packets with the token carry the hop limit as their TTL.
    @Test func tokensDieOnTheirWayOut() async throws {
        try await GuestNetwork.with { network in
            try await Bench().withEdge { link in
                try await link.apply(document([network.domain(EdgeMetadataOptions(hopLimit: 3))]))
                let guest = network.guests[0]
                try await network.configure(guest)
                let script = """
                    import socket, threading
                    sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(0x0800)); sniffer.settimeout(5)
                    def ttl(request):
                        s = socket.create_connection(("169.254.169.254", 80), 5)
                        s.sendall(request)
                        while True:
                            p = sniffer.recv(4096)
                            if p[9] == 6 and p[20:22] == b"\\0P" and b"HTTP/1.1 200" in p: return p[8]
                    print(ttl(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"),
                        ttl(b"PUT /latest/api/token HTTP/1.1\\r\\nHost: x\\r\\nX-aws-ec2-metadata-token-ttl-seconds: 9\\r\\n\\r\\n"))
                    """
                #expect(try await network.python(in: guest, script) == "64 3")
            }
        }
    }

    /// Edge dies: what guests asked meanwhile is answered by the next one, and their tokens stay good.
    @Test func aRestartLosesNothing() async throws {
        try await GuestNetwork.with { network in
            let bench = Bench()
            let guest = network.guests[0]
            try await network.configure(guest)
            let plain = EdgeSettings(region: "us-east-1")
            let token = try await bench.withEdge { link in
                try await link.apply(document([network.domain()], settings: plain))
                return try await network.run(
                    in: guest, "curl",
                    [
                        "-s", "-m5", "-X", "PUT", "-H", "X-aws-ec2-metadata-token-ttl-seconds: 60",
                        "http://169.254.169.254/latest/api/token",
                    ])
            }
            await #expect(throws: Fault.self) { try await bench.link.health() }
            await #expect(throws: Fault.self) {
                try await bench.link.apply(document([network.domain()], generation: 2, settings: plain))
            }
            let arguments = [
                "-s", "-m20", "-H", "X-aws-ec2-metadata-token: \(token)", "http://169.254.169.254/latest/meta-data/local-ipv4",
            ]
            async let early = network.run(in: guest, "curl", arguments)
            try await Task.sleep(for: .milliseconds(500))
            let (generation, late) = try await bench.withEdge { link in
                let late = try await network.run(in: guest, "curl", arguments)
                for _ in 0..<100 where try await link.health().counters.metadataRequests < 2 {
                    try await Task.sleep(for: .milliseconds(20))
                }
                return (try await link.health().generation, late)
            }
            #expect(try await early == "10.0.0.5", "asked while there was no edge")
            #expect(generation == 2, "the document that no edge had heard")
            #expect(late == "10.0.0.5")
        }
    }

    /// A namespace that is not there yet is a problem of its domain alone, and heals by itself.
    @Test func aMissingNamespaceIsReported() async throws {
        try await GuestNetwork.with { network in
            try await Bench().withEdge { link in
                var missing = Fixture.domain()
                missing.id = network.name + "g0x"
                let problems = try await link.apply(document([missing, network.domain()]))
                #expect(problems.map(\.domain) == [missing.id])
                try await network.configure(network.guests[0])
                let served = try await network.run(
                    in: network.guests[0], "curl", ["-s", "-m5", "-o/dev/null", "http://169.254.169.254/"])
                #expect(served.isEmpty)
                try await Command.run("ip", ["netns", "add", missing.id])
                #expect(try await link.apply(document([missing, network.domain()], generation: 2)) == [])
                // Made anew under the same name: other sockets are needed.
                try await Command.run("ip", ["netns", "del", missing.id])
                #expect(try await link.apply(document([missing], generation: 3)).map(\.domain) == [missing.id])
                #expect(try await link.health().domains == 0)
            }
        }
    }

    /// Junk on every port; afterwards everybody is still served.
    @Test func junkDoesNotHurt() async throws {
        try await GuestNetwork.with { network in
            try await Bench().withEdge { link in
                try await link.apply(document([network.domain()]))
                let guest = network.guests[0]
                try await network.configure(guest)
                let script = """
                    import random, socket
                    seed = 20260004; r = random.Random(seed)
                    good = b"PUT /latest/api/token HTTP/1.1\\r\\nHost: x\\r\\nX-aws-ec2-metadata-token-ttl-seconds: 9\\r\\nContent-Length: 3\\r\\n\\r\\nabc"
                    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    def mutate(b):
                        b = bytearray(b)
                        for _ in range(r.randrange(6)):
                            b[r.randrange(len(b))] = r.randrange(256)
                        return bytes(b[:r.randrange(len(b)) + 1])
                    for n in range(400):
                        for port in (80, 53):
                            s = socket.socket(); s.settimeout(5); s.connect(("169.254.169.254" if port == 80 else "10.0.0.2", port))
                            try: s.sendall(mutate(good)); s.shutdown(socket.SHUT_WR)
                            except OSError: pass
                            try: s.recv(100)
                            except ConnectionError: pass
                            s.close()
                        udp.sendto(r.randbytes(r.randrange(600)), ("10.0.0.2", 53))
                        udp.sendto(r.randbytes(r.randrange(600)), ("10.0.0.1", 67))
                    s = socket.create_connection(("169.254.169.254", 80), 5)
                    s.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 40000\\r\\n\\r\\n" + b"x" * 20000)
                    print(s.recv(100).split(b"\\r\\n")[0].decode())
                    s = socket.create_connection(("169.254.169.254", 80), 5)
                    s.sendall(b"GET / HTTP/1.1\\r\\n" + b"a: b\\r\\n" * 2000)
                    try: print(s.recv(100).split(b" ")[1].decode())
                    except ConnectionError: print("closed")
                    held = []
                    for n in range(70):
                        s = socket.create_connection(("169.254.169.254", 80), 5); s.settimeout(0.2); held.append(s)
                    import time; time.sleep(0.3)
                    refused = 0
                    for s in reversed(held):
                        try: refused += s.recv(1) == b""
                        except ConnectionResetError: refused += 1
                        except TimeoutError: pass
                        if refused > 3: break
                    print("limited" if refused > 3 else "unlimited")
                    """
                let said = try await network.python(in: guest, script).split(separator: "\n").map(String.init)
                #expect(said.first == "HTTP/1.1 413 Payload Too Large")
                #expect(said.count == 3 && ["400", "431", "closed"].contains(said[1]) && said[2] == "limited", "\(said)")
                #expect(try await link.health().generation == 1)
                let lease = try await lease(network, guest)
                #expect(lease.hasPrefix("10.0.0.5/24"))
                let body = try await network.run(in: guest, "curl", ["-s", "-m5", "http://169.254.169.254/latest/meta-data/mac"])
                #expect(body == guest.mac.description)
            }
        }
    }

    /// A connection that sends a byte now and then, one that reads nothing, and one that asks too often.
    @Test func dawdlersAndFloodersAreSentAway() async throws {
        var limits = EdgeLimits()
        limits.requestSeconds = 2
        limits.metadataPerSecond = 1
        try await GuestNetwork.with { network in
            try await Bench().withEdge(limits: limits) { link in
                try await link.apply(document([network.domain()]))
                let guest = network.guests[0]
                try await network.configure(guest)
                let script = """
                    import http.client, socket, time
                    for port, byte in ((80, b"G"), (53, b"A")):
                        s = socket.create_connection(("10.0.0.2" if port == 53 else "169.254.169.254", port), 5)
                        start = time.time()
                        try:
                            while time.time() - start < 20:
                                s.sendall(byte); time.sleep(0.1)
                        except ConnectionError: pass
                        print("closed" if time.time() - start < 15 else "held")
                    seen = []
                    for n in range(60):
                        c = http.client.HTTPConnection("169.254.169.254", timeout=10)
                        c.request("GET", "/latest/meta-data/ami-id"); seen.append(c.getresponse().status); c.close()
                        if seen[-1] != 200: break
                    print(seen[0], seen[-1])
                    """
                #expect(try await network.python(in: guest, script) == "closed\nclosed\n200 503")
            }
        }
    }

    /// Each process may be restarted alone where they meet at a named socket.
    @Test func edgeDialsANamedSocket() async throws {
        let log = Logger(label: "edge.test") { _ in SwiftLogNoOpLogHandler() }
        let path = "/tmp/kedge-\(hexDigits(Chance.system.bits())).sock"
        try await GuestNetwork.with { network in
            try await network.configure(network.guests[0])
            let server = EdgeServer(threads: 1, log: log)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await server.run(dialing: path) }
                for generation in 1...3 as ClosedRange<Int64> {
                    let domains = generation < 3 ? [network.domain()] : []
                    // Each round is a node that was started anew.
                    let link = EdgeLink(namespacePath: { GuestNetwork.path($0) }, log: log)
                    try await withThrowingTaskGroup(of: Void.self) { node in
                        node.addTask { try await link.listen(at: path, userId: getuid(), log: log) }
                        while await !link.attached { try await Task.sleep(for: .milliseconds(20)) }
                        #expect(try await link.apply(document(domains, generation: generation)) == [])
                        let health = try await link.health()
                        #expect(health.generation == generation && health.domains == domains.count)
                        node.cancelAll()
                    }
                    await link.close()
                    let served = try await network.run(
                        in: network.guests[0], "curl", ["-s", "-m5", "http://169.254.169.254/latest/meta-data/local-ipv4"])
                    #expect(
                        served == (domains.isEmpty ? "status 7" : "10.0.0.5"),
                        "served on without a node, but not what the last one did not name")
                }
                group.cancelAll()
            }
            await server.shutdown()
        }
        #expect(access(path, F_OK) != 0)
    }
}
