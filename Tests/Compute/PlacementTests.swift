//  Placement as a table: which hosts are tried, in which order, and why the others are not.

import Compute
import Model
import Testing

@Suite struct PlacementTests {
    private func host(
        _ name: String, free: Int64, memoryFree: Int64, of memory: Int64 = 64, _ state: Host.State = .up
    ) -> Host {
        Host(
            id: ID(bits: UInt64(name.utf8.reduce(0) { $0 * 31 + Int($1) })), zone: ID(bits: 1), name: name, state: state,
            processors: 16, memory: .gibibytes(memory), processorsFree: free, memoryFree: .gibibytes(memoryFree), pool: ID(bits: 2),
            accelerator: "kvm", created: Instant(seconds: 1), revision: 1)
    }

    private let need = Need(processors: 2, memory: .gibibytes(4))

    @Test func refusals() {
        var dice = Dice(seed: 1)
        let placement = Placement.choose(
            need,
            among: [
                host("lost", free: 16, memoryFree: 64, .lost), host("closed", free: 16, memoryFree: 64, .closed),
                host("busy", free: 1, memoryFree: 64), host("small", free: 16, memoryFree: 3),
                // It came back smaller than what was promised of it.
                host("shrunk", free: -3, memoryFree: -8), host("good", free: 2, memoryFree: 4),
            ], dice: &dice)
        #expect(placement.candidates == [host("good", free: 0, memoryFree: 0).id])
        #expect(
            placement.explanation
                == "busy: 1 of 2 virtual processors are free; closed: it is closed; lost: it is lost; "
                + "shrunk: 0 of 2 virtual processors are free; small: 3.0 GiB of 4.0 GiB memory are free")
    }

    @Test func nowhere() {
        var dice = Dice(seed: 1)
        #expect(Placement.choose(need, among: [], dice: &dice).explanation == "There is no host in this zone.")
        let many = (0..<30).map { host("host-\($0)", free: 0, memoryFree: 64) }
        let explanation = Placement.choose(need, among: many, dice: &dice).explanation
        #expect(explanation.split(separator: ";").count == 8, "a sentence has an end")
    }

    @Test func theFreerFirst() {
        var dice = Dice(seed: 1)
        let hosts = [
            host("a", free: 16, memoryFree: 8), host("b", free: 16, memoryFree: 60), host("c", free: 16, memoryFree: 30),
            // Of a larger host the same is a smaller share.
            host("d", free: 16, memoryFree: 30, of: 512),
        ]
        let order = Placement.choose(need, among: hosts, dice: &dice).candidates
        #expect(order.first == hosts[1].id && order.dropFirst().first == hosts[2].id)
        #expect(order.count == 4 && order.last == hosts[3].id)
    }

    /// Hosts that are nearly equal are tried in another order by each call, and each is the first of some.
    @Test func theEqualAreShuffled() {
        let hosts = (0..<4).map { host("host-\($0)", free: 16, memoryFree: 50 + Int64($0)) }
        var firsts: [ID<Host>: Int] = [:]
        for seed in 0..<400 as Range<UInt64> {
            var dice = Dice(seed: seed)
            guard let first = Placement.choose(need, among: hosts, dice: &dice).candidates.first else { continue }
            firsts[first, default: 0] += 1
        }
        #expect(firsts.count == 4 && firsts.values.allSatisfy { $0 > 60 }, "\(firsts)")
    }

    /// The same dice decide the same: a transaction may run again.
    @Test func theSameAgain() {
        let hosts = (0..<9).map { host("host-\($0)", free: 16, memoryFree: 64) }
        var first = Dice(seed: 5)
        var second = Dice(seed: 5)
        #expect(
            Placement.choose(need, among: hosts, dice: &first) == Placement.choose(need, among: hosts, dice: &second))
    }
}
