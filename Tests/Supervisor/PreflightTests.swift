import Model
import Platform
import Testing

@testable import Supervisor

/// Hosts written down by hand, and what is said of each.
@Suite struct PreflightTests {
    static func prefix(_ text: String) -> IPv4Prefix { IPv4Prefix(text) ?? .everything }
    static func address(_ text: String) -> IPv4Address { IPv4Address(text) ?? IPv4Address(bits: 0) }

    /// A host with nothing to say about.
    static var fine: HostFacts {
        var facts = HostFacts()
        facts.processors = 8
        facts.memory = .gibibytes(32)
        facts.diskFree = .gibibytes(200)
        facts.kernel = "6.1.0"
        facts.kernelFeatures = Dictionary(uniqueKeysWithValues: HostFacts.KernelFeature.allCases.map { ($0, true) })
        facts.hasVirtualization = true
        facts.interfaces = [
            .init(name: "eth0", addresses: [address("192.168.1.20")], networks: [prefix("192.168.1.0/24")])
        ]
        facts.routes = [
            .init(.everything, device: "eth0", gateway: address("192.168.1.1")), .init(prefix("192.168.1.0/24"), device: "eth0"),
        ]
        facts.resolvers = [address("192.168.1.1")]
        facts.listeners = [.init(.tcp, 22)]
        facts.clockIsAdrift = false
        facts.hasControlGroups = true
        facts.hasSystemd = true
        return facts
    }

    static var wishes: PreflightWishes {
        var wishes = PreflightWishes()
        wishes.guestRanges = [prefix("172.31.0.0/16")]
        wishes.publicRange = prefix("198.18.0.0/24")
        wishes.ports = [.init("the AWS endpoint", option: "--port", .tcp, 8773)]
        wishes.programs = [.init("nft", package: "nftables"), .init("ip", package: "iproute2")]
        return wishes
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var remark: String
        var change: @Sendable (inout HostFacts, inout PreflightWishes) -> Void
        /// Severity, subject, and a part of sentence and remedy.
        var expected: [(Finding.Severity, Finding.Subject, String)]
        var testDescription: String { remark }

        init(
            _ remark: String, _ expected: [(Finding.Severity, Finding.Subject, String)],
            _ change: @escaping @Sendable (inout HostFacts, inout PreflightWishes) -> Void
        ) {
            self.remark = remark
            self.expected = expected
            self.change = change
        }
    }

    static let size: [Case] = [
        Case("a fine host", []) { _, _ in },
        Case("too little memory", [(.stops, .memory, "512 MiB")]) { facts, _ in facts.memory = .mebibytes(512) },
        Case("little memory", [(.warns, .memory, "2.0 GiB")]) { facts, _ in facts.memory = .gibibytes(2) },
        Case("one processor", [(.warns, .processors, "one processor")]) { facts, _ in facts.processors = 1 },
        Case("a full disk", [(.stops, .disk, "2.0 GiB free")]) { facts, _ in facts.diskFree = .gibibytes(2) },
        Case("a small disk", [(.warns, .disk, "10.0 GiB free")]) { facts, _ in facts.diskFree = .gibibytes(10) },
        Case("an unknown disk", [(.warns, .disk, "could not")]) { facts, _ in facts.diskFree = nil },
        Case("missing programs", [(.stops, .programs, "nft, ip. apt-get install iproute2 nftables")]) { facts, _ in
            facts.missingPrograms = ["nft", "ip"]
        },
        Case("a kernel without VXLAN", [(.stops, .kernel, "no VXLAN. Boot")]) { facts, _ in facts.kernelFeatures[.vxlan] = false },
        Case("a feature that could not be tried", []) { facts, _ in facts.kernelFeatures[.vxlan] = nil },
        Case(
            "a container without its privileges",
            [(.stops, .kernel, "no network namespaces, no tap"), (.tells, .container, "docker")]
        ) { facts, _ in
            facts.kernelFeatures[.namespaces] = false
            facts.kernelFeatures[.tap] = false
            facts.container = "docker"
        },
        Case("no KVM", [(.tells, .virtualization, "emulation")]) { facts, _ in facts.hasVirtualization = false },
        Case("no time source", [(.warns, .clock, "chrony")]) { facts, _ in facts.clockIsAdrift = true },
        Case("a clock that cannot be asked", []) { facts, _ in facts.clockIsAdrift = nil },
        Case("no systemd, no control groups", [(.warns, .controlGroups, "not held"), (.tells, .service, "./karri up")]) {
            facts, _ in
            facts.hasSystemd = false
            facts.hasControlGroups = false
        },
        Case("an unprivileged container's users", [(.stops, .users, "do not exist")]) { facts, _ in facts.userIds = [0...65535] },
        Case("guests' users over two ranges", [(.stops, .users, "do not exist")]) { facts, _ in
            facts.userIds = [0...1_879_100_000, 1_879_100_001...4_000_000_000]
        },
        Case("a newer Karri's files", [(.stops, .installation, "newer")]) { facts, wishes in
            facts.installedLayout = wishes.layout + 1
        },
        Case("an older Karri's files", [(.tells, .installation, "older")]) { facts, wishes in
            facts.installedLayout = wishes.layout - 1
        },
        Case("another installation's files", [(.stops, .installation, "marked other")]) { facts, _ in facts.installedMark = "other"
        },
    ]

    static let network: [Case] = [
        Case("a taken port", [(.stops, .ports, "8773/tcp, wanted for the AWS endpoint, is taken.")]) { facts, _ in
            facts.listeners.append(.init(.tcp, 8773))
        },
        Case("the port on another address", []) { facts, wishes in
            wishes.ports = [.init("it", option: "--port", .tcp, 8773, on: address("127.0.0.1"))]
            facts.listeners.append(.init(.tcp, 8773, on: address("192.168.1.20")))
        },
        Case("one address of a port wanted on all", [(.stops, .ports, "choose another with --port")]) { facts, _ in
            facts.listeners.append(.init(.tcp, 8773, on: address("127.0.0.1")))
        },
        Case("the port in the other transport", []) { facts, _ in facts.listeners.append(.init(.udp, 8773)) },
        Case("ports that are our own", [(.tells, .installation, "process 77")]) { facts, _ in
            facts.listeners.append(.init(.tcp, 8773))
            facts.supervisor = 77
        },
        Case("no default route", [(.warns, .uplink, "no default route")]) { facts, _ in facts.routes.removeFirst() },
        Case("two default routes, one better", []) { facts, _ in
            facts.routes.append(.init(.everything, device: "wlan0", metric: 600))
        },
        Case("two default routes alike", [(.warns, .uplink, "eth0, eth1")]) { facts, _ in
            facts.routes.append(.init(.everything, device: "eth1"))
        },
        Case(
            "Docker in the guests' range",
            [
                (
                    .warns, .guestRange,
                    "cannot reach 172.31.0.0/20, which this host has on br-1. Choose another range for the default VPC: 172.30.0.0/16"
                )
            ]
        ) {
            facts, _ in facts.routes.append(.init(prefix("172.31.0.0/20"), device: "br-1"))
        },
        Case("a name server in the guests' range", [(.tells, .guestRange, "172.31.0.2")]) { facts, _ in
            facts.resolvers = [address("172.31.0.2")]
        },
        Case(
            "the public range is somebody's",
            [(.stops, .publicRange, "collides with 198.18.0.0/16 on tun0. --public-range 172.30.255.0/24")]
        ) {
            facts, _ in facts.routes.append(.init(prefix("198.18.0.0/16"), device: "tun0"))
        },
        Case("our own links from an earlier start", []) { facts, _ in
            facts.routes.append(.init(prefix("198.18.0.5/32"), device: "karri-up"))
        },
        Case("public and guest range overlap", [(.stops, .publicRange, "overlaps")]) { _, wishes in
            wishes.publicRange = prefix("172.31.9.0/24")
        },
        Case("a public range on the uplink", []) { _, wishes in
            wishes.publicRangeIsOnUplink = true
            wishes.publicRange = prefix("192.168.1.128/27")
        },
        Case(
            "a public range that holds the host and its gateway",
            [
                (.stops, .publicRange, "this host's address, 192.168.1.20"), (.stops, .publicRange, "the gateway"),
                (.stops, .publicRange, "the name server"),
            ]
        ) { _, wishes in
            wishes.publicRangeIsOnUplink = true
            wishes.publicRange = prefix("192.168.1.0/25")
        },
        Case("a public range that is not the uplink's", [(.stops, .publicRange, "not part of eth0's network (192.168.1.0/24)")]) {
            _, wishes in
            wishes.publicRangeIsOnUplink = true
            wishes.publicRange = prefix("192.168.2.0/27")
        },
        Case("Wi-Fi", [(.warns, .uplink, "Wi-Fi")]) { facts, wishes in
            facts.interfaces[0].isWireless = true
            wishes.publicRangeIsOnUplink = true
            wishes.publicRange = prefix("192.168.1.128/27")
        },
        Case("Wi-Fi that nothing is asked of", []) { facts, _ in facts.interfaces[0].isWireless = true },
        Case("inside another cloud", [(.warns, .uplink, "Amazon EC2"), (.tells, .machine, "Amazon EC2")]) { facts, wishes in
            facts.machineMaker = "Amazon EC2"
            wishes.publicRangeIsOnUplink = true
            wishes.publicRange = prefix("192.168.1.128/27")
        },
        Case("firewalls", [(.warns, .firewall, "Docker"), (.warns, .firewall, "chain fwd of the table inet mine")]) { facts, _ in
            facts.firewalls = [.docker, .chain(table: "inet mine", name: "fwd")]
        },
    ]

    @Test(arguments: size + network) func judges(_ test: Case) {
        var facts = PreflightTests.fine
        var wishes = PreflightTests.wishes
        test.change(&facts, &wishes)
        let findings = Preflight.judge(facts, wishes)
        #expect(findings.map(\.severity) == test.expected.map(\.0))
        #expect(findings.map(\.subject) == test.expected.map(\.1))
        for (finding, expected) in zip(findings, test.expected) {
            #expect("\(finding.sentence) \(finding.remedy)".contains(expected.2))
        }
    }

    @Test func theGravestComesFirst() {
        var facts = PreflightTests.fine
        facts.hasVirtualization = false
        facts.processors = 1
        facts.diskFree = .zero
        #expect(Preflight.judge(facts, PreflightTests.wishes).map(\.severity) == [.stops, .warns, .tells])
    }

    @Test func freeRangesAreFreeAndFound() {
        for seed: UInt64 in 0..<500 {
            var dice = Dice(seed: seed)
            let used = (0..<Int.random(in: 0..<40, using: &dice)).compactMap { _ in
                IPv4Prefix(
                    containing: IPv4Address(bits: (UInt32(172) << 24) | dice.next(upperBound: 1 << 24)),
                    length: Int.random(in: 9...32, using: &dice))
            }
            let length = Int.random(in: 12...32, using: &dice)
            let free = Preflight.freePrefix(length: length, avoiding: used)
            #expect(free?.length == length, "seed \(seed)")
            #expect(!used.contains { other in free.map { $0.overlaps(other) } ?? true }, "seed \(seed)")
        }
        #expect(Preflight.freePrefix(length: 24, avoiding: [.everything]) == nil)
        #expect(Preflight.freePrefix(length: 4, avoiding: []) == nil)
    }

    @Test func gathersThisHost() async throws {
        let scratch = try Scratch()
        var wishes = PreflightWishes()
        wishes.programs = [.init("ip", package: "iproute2"), .init("no-such-program", package: "none")]
        let facts = await Preflight.gather(scratch.installation, wishes)
        #expect(facts.missingPrograms == ["no-such-program"])
        #expect(facts.memory > .mebibytes(64))
        #expect((facts.diskFree ?? .zero) > .zero)
        #expect(facts.interfaces.contains { $0.addresses.contains(IPv4Address(127, 0, 0, 1)) })
        #expect(facts.kernelFeatures[.namespaces] == true)
        #expect(facts.kernelFeatures[.veth] == true)
        #expect(!facts.interfaces.contains { $0.name == "trial" }, "what is tried leaves nothing")
        #expect(facts.supervisor == nil)
    }
}

@Suite struct KernelTablesTests {
    @Test func listeners() {
        let tcp = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
               0: 00000000:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1605 1 0 100 0 0 10 0
               1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1605 1 0 100 0 0 10 0
               2: 0100007F:1F91 0100007F:0016 01 00000000:00000000 00:00000000 00000000     0        0 1605 1 0 100 0 0 10 0
               3: 0100007F 00000000:0000 0A
            """
        #expect(KernelTables.listeners(.tcp, in: tcp) == [.init(.tcp, 2024), .init(.tcp, 8080, on: IPv4Address(127, 0, 0, 1))])
        let six = """
            header
               0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0
               1: 00000000000000000000000001000000:0017 00000000000000000000000000000000:0000 0A 0
               2: 0000000000000000FFFF00000200000A:0018 00000000000000000000000000000000:0000 0A 0
            """
        #expect(
            KernelTables.listeners(.tcp, in: six) == [
                .init(.tcp, 22), .init(.tcp, 23, on: IPv4Address(127, 0, 0, 1)), .init(.tcp, 24, on: IPv4Address(10, 0, 0, 2)),
            ])
        #expect(KernelTables.listeners(.udp, in: "header\n 0: 00000000:0043 00000000:0000 07 0\n") == [.init(.udp, 67)])
    }

    @Test func routes() {
        let json = """
            [{"dst":"default","gateway":"192.0.2.1","dev":"eth0","metric":100,"flags":[]},
             {"dst":"192.0.2.0/24","dev":"eth0","protocol":"kernel","scope":"link","prefsrc":"192.0.2.2","flags":[]},
             {"dst":"10.8.0.1","dev":"tun0","flags":[]},
             {"type":"local","dst":"127.0.0.0/8","dev":"lo","table":"local","flags":[]},
             {"type":"blackhole","dst":"10.0.0.0/8","flags":[]},
             {"dst":"192.168.0.0/16","nexthops":[],"flags":[]}]
            """
        #expect(
            KernelTables.routes(json) == [
                .init(.everything, device: "eth0", gateway: IPv4Address(192, 0, 2, 1), metric: 100),
                .init(PreflightTests.prefix("192.0.2.0/24"), device: "eth0"),
                .init(PreflightTests.prefix("10.8.0.1/32"), device: "tun0"),
            ])
        #expect(KernelTables.routes("") == [])
    }

    @Test func interfaces() {
        let json = """
            [{"ifname":"wlan0","addr_info":[{"family":"inet","local":"10.0.0.7","prefixlen":8},{"family":"inet6","local":"::1","prefixlen":128}]},
             {"ifname":"odd","addr_info":[{"family":"inet","local":"10.0.0.7","prefixlen":99}]},{"nothing":1}]
            """
        #expect(
            KernelTables.interfaces(json, wireless: ["wlan0"]) == [
                .init(
                    name: "wlan0", addresses: [IPv4Address(10, 0, 0, 7)], networks: [PreflightTests.prefix("10.0.0.0/8")],
                    isWireless: true),
                .init(name: "odd"),
            ])
    }

    @Test(
        arguments: [
            (
                #"{"chain":{"family":"ip","table":"filter","name":"DOCKER-USER","handle":1}},{"chain":{"family":"ip","table":"filter","name":"FORWARD","handle":1,"hook":"forward","policy":"drop"}}"#,
                [.docker]
            ),
            (#"{"chain":{"family":"ip","table":"filter","name":"ufw-before-forward"}}"#, [.ufw]),
            (
                #"{"chain":{"family":"inet","table":"firewalld","name":"filter_FORWARD","hook":"forward","policy":"accept"}}"#,
                [.firewalld]
            ),
            (
                #"{"chain":{"family":"inet","table":"mine","name":"fwd","hook":"forward","policy":"drop"}}"#,
                [.chain(table: "inet mine", name: "fwd")]
            ),
            // The drop policy of an input chain is nobody's business here; our own tables are ours.
            (#"{"chain":{"family":"inet","table":"mine","name":"in","hook":"input","policy":"drop"}}"#, []),
            (#"{"chain":{"family":"inet","table":"karri-host","name":"fwd","hook":"forward","policy":"drop"}}"#, []),
            (#"{"metainfo":{"version":"1.0.6"}}"#, []),
        ] as [(String, [HostFacts.Firewall])])
    func firewalls(entries: String, expected: [HostFacts.Firewall]) {
        #expect(KernelTables.firewalls(#"{"nftables":[\#(entries)]}"#, mark: "karri") == expected)
    }

    @Test func smallTables() {
        #expect(
            KernelTables.resolvers("# x\nnameserver 10.0.0.1\nnameserver\t::1\nsearch a\nnameserver 1.1.1.1 # y\nnameserver")
                == [IPv4Address(10, 0, 0, 1), IPv4Address(1, 1, 1, 1)])
        #expect(KernelTables.userIds("         0          0 4294967295\n") == [0...4_294_967_294])
        #expect(KernelTables.userIds("0 100000 65536\n65536 1 1\nx\n1 1 0\n4294967295 0 9\n") == [0...65535, 65536...65536])
        #expect(KernelTables.memory("MemTotal:       16384 kB\nMemFree: 1 kB\n") == .mebibytes(16))
        #expect(KernelTables.memory("MemTotal: 99999999999999999 kB") == .zero)
    }

    @Test(
        arguments: [
            ("Amazon EC2", "t3.micro", "", "Amazon EC2"), ("Xen", "HVM domU", "Amazon EC2", "Amazon EC2"),
            ("Xen", "HVM domU", "", "Xen"),
            ("Google", "Google Compute Engine", "", "Google Compute Engine"),
            ("Microsoft Corporation", "Virtual Machine", "7783-7084-3265-9085-8269-3286-77", "Microsoft Azure"),
            ("Microsoft Corporation", "Virtual Machine", "", "Hyper-V"), ("QEMU", "Standard PC", "", "QEMU"),
            ("QEMU", "Standard PC", "OracleCloud.com", "Oracle Cloud"), ("RDO", "OpenStack Compute", "", "OpenStack"),
            ("Dell Inc.", "PowerEdge", "", nil), ("", "", "", nil),
        ] as [(String, String, String, String?)])
    func machineMakers(vendor: String, product: String, tag: String, maker: String?) {
        #expect(KernelTables.machineMaker(vendor: vendor, product: product, tag: tag) == maker)
    }

    /// What other programs print may be cut, doubled or garbled: nothing of it may trap.
    @Test func garbledTables() {
        let seeds = [
            "sl\n 0: 0100007F:1F90 00000000:0000 0A 0\n 1: 0000000000000000FFFF00000200000A:0018 0:0 0A 0\n",
            "0 0 4294967295\n18446744073709551615 1 18446744073709551615\n", "MemTotal: 123 kB\n", "nameserver 1.2.3.4\n",
            #"[{"dst":"default","gateway":"192.0.2.1","dev":"eth0","metric":100}]"#,
            #"{"nftables":[{"chain":{"family":"ip","table":"t","name":"n","hook":"forward","policy":"drop"}}]}"#,
            "30 22 0:1 / /var/lib/karri\\040x rw\n", "1 (a) S 0 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 43 0",
        ]
        for seed: UInt64 in 0..<2000 {
            var dice = Dice(seed: seed)
            var bytes = Array((seeds.randomElement(using: &dice) ?? "").utf8)
            for _ in 0..<Int.random(in: 1..<6, using: &dice) where !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &dice)
                switch dice.next(upperBound: 3 as UInt64) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &dice)
                case 1: bytes.removeSubrange(place...)
                default: bytes.insert(contentsOf: bytes[place...].prefix(9), at: place)
                }
            }
            let text = String(decoding: bytes, as: UTF8.self)
            _ = KernelTables.listeners(.tcp, in: text)
            _ = KernelTables.userIds(text)
            _ = KernelTables.memory(text)
            _ = KernelTables.resolvers(text)
            _ = KernelTables.routes(text)
            _ = KernelTables.firewalls(text, mark: "karri")
            _ = InstallationFolders.mounts(below: ["/var/lib/karri"], in: text)
            _ = ProcessIdentity.statistics(parsing: text)
        }
    }
}
