import Database
import Dataplane
import DatabaseTesting
import Fabric
import Model
import Store
import Testing

@testable import CommandLine

/// `karri check`: what it reads, what it holds against each other, and what it asks control.
struct CheckTests {
    private static let names = try? DataplaneNames(mark: "ktest")
    private static let guests = "/root/var/lib/karri/node/guests"

    @Test(
        arguments: [
            (
                [
                    "/usr/bin/qemu-system-x86_64", "-name", "guest=i-01,process=qemu:i-01", "-vnc",
                    "unix:\(guests)/i-01/run/vnc.sock",
                ], "i-01"
            ),
            // Another cloud's machine, and another machine's folder.
            (["/usr/bin/qemu-system-x86_64", "-name", "guest=i-01", "-vnc", "unix:/other/guests/i-01/run/vnc.sock"], nil),
            (["/usr/bin/qemu-system-x86_64", "-name", "guest=i-01", "-vnc", "unix:\(guests)/i-012/run/vnc.sock"], nil),
            (["/bin/sh", "-name", "guest=i-01", "\(guests)/i-01/"], nil),
            (["/usr/bin/qemu-system-x86_64", "-name"], nil),
            (["/usr/bin/qemu-system-x86_64", "-name", ",", "\(guests)//"], nil),
            ([], nil),
        ] as [([String], String?)])
    func theMachineOfAProcess(command: [String], machine: String?) {
        #expect(HostListing.machine(ofCommand: command.joined(separator: "\0") + "\0", guests: CheckTests.guests) == machine)
    }

    /// A host with one running machine, and all that it should have for it.
    private static func good() throws -> (reply: CheckReply, things: HostThings) {
        let names = try #require(names)
        let digest = String(repeating: "ab", count: 32)
        let reply = CheckReply.with {
            $0.machines = [
                HeldMachine.with {
                    $0.instance = 1
                    $0.observed = "running"
                    $0.ports = [2]
                }
            ]
            $0.disks = [
                HeldDisk.with {
                    $0.volume = 3
                    $0.observed = "ready"
                }
            ]
            $0.images = [
                HeldImage.with {
                    $0.image = 4
                    $0.purpose = "machine"
                    $0.digest = digest
                }
            ]
            $0.domains = [
                HeldDomain.with {
                    $0.domain = 5
                    $0.vni = 6
                }
            ]
        }
        var things = HostThings()
        things.processes = ["i-0\(hexDigits(1 as UInt64))": 1]
        things.guestFolders = ["i-0\(hexDigits(1 as UInt64))"]
        things.users = [hexDigits(1 as UInt64)]
        things.disks = [hexDigits(3 as UInt64)]
        things.images = ["\(digest).disk"]
        things.taps = [names.tap(ID(bits: 2))]
        things.namespaces = [names.namespace(ID(bits: 5))]
        things.hostLinks = [names.hostLink(vni: 6)]
        return (reply, things)
    }

    @Test func whatIsHeldAndThereIsInOrder() throws {
        let (reply, things) = try CheckTests.good()
        #expect(HeldThings(reply, try #require(CheckTests.names)).complaints(of: things) == [])
    }

    @Test func eachThingTooManyAndMissingIsNamed() throws {
        let (reply, things) = try CheckTests.good()
        let held = HeldThings(reply, try #require(CheckTests.names))
        for (what, kind) in HostThings.kinds {
            var more = things
            more[keyPath: kind].insert("zz")
            #expect(held.complaints(of: more) == ["\(what) zz belongs to nothing"])
            guard let one = things[keyPath: kind].first, !held.required[keyPath: kind].isEmpty else { continue }
            var fewer = things
            fewer[keyPath: kind].remove(one)
            #expect(held.complaints(of: fewer) == ["\(what) \(one) is missing"])
        }
    }

    @Test func eachWrongProcessIsNamed() throws {
        var (reply, things) = try CheckTests.good()
        let names = try #require(CheckTests.names)
        let name = try #require(things.processes.keys.first)
        things.processes = [:]
        #expect(HeldThings(reply, names).complaints(of: things) == ["no QEMU runs for \(name)"])
        things.processes = [name: 2]
        #expect(HeldThings(reply, names).complaints(of: things) == ["QEMU runs 2 times for \(name)"])
        things.processes = [name: 1, "i-0f": 1]
        #expect(HeldThings(reply, names).complaints(of: things) == ["QEMU runs for i-0f, which this host does not hold"])
        things.processes = [name: 1]
        reply.machines[0].observed = "off"
        #expect(HeldThings(reply, names).complaints(of: things) == ["QEMU runs for \(name), which is held to be off"])
    }

    @Test func whatChangedInBetweenIsNoComplaint() throws {
        let (reply, things) = try CheckTests.good()
        let names = try #require(CheckTests.names)
        let held = HeldThings(reply, names).also(HeldThings(CheckReply(), names))
        #expect(held.complaints(of: things) == [])
        #expect(held.complaints(of: HostThings()) == [])
    }

    @Test(arguments: EngineName.allCases)
    func brokenInvariantsAreAnswered(engine: EngineName) async throws {
        try await AdministrationTests.with(engine) { cloud in
            let ask: @Sendable (String) async throws -> CheckReply = { host in
                try await cloud.client.ask { stub, options in
                    try await stub.check(CheckRequest.with { $0.host = host }, options: options)
                }
            }
            // Four of a hundred gibibytes free, and nothing that holds the others.
            try await AdministrationTests.addHost(cloud, named: "host-1")
            let reply = try await ask("host-1")
            #expect(reply.broken.count == 1)
            #expect(reply.broken.first?.hasPrefix("a pool's free bytes") == true)
            #expect(reply.machines.isEmpty)
            await #expect { try await ask("host-2") } throws: { ($0 as? Fault)?.code == .notFound }
        }
    }
}
