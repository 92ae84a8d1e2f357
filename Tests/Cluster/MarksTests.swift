//  What of a host's document may have changed: nothing that happens while entries are built is lost,
//  and what may wait does not wake.

import Model
import Testing

@testable import Cluster

@Suite struct MarksTests {
    private let domain = ID<Domain>(bits: 1)
    private let machine = ID<Instance>(bits: 2)
    private let holding = ID<Holding>(bits: 3)

    /// Whether somebody was woken since the last look.
    private func isAwake(_ marks: Marks) async -> Bool {
        marks.close()
        return await marks.wakes.contains { _ in true }
    }

    @Test func whatConcernsTheHostAlone() async {
        let marks = Marks()
        marks.markDomain(domain)
        marks.markGuest(machine)
        marks.markGone(holding)
        let marked = marks.take()
        #expect(marked.domains.isEmpty && marked.guests.isEmpty && marked.holdings.isEmpty)
        #expect(await !isAwake(marks))
    }

    /// While entries are built it is not yet known what they will need.
    @Test func whileEntriesAreBuilt() {
        let marks = Marks()
        _ = marks.take()
        marks.markDomain(domain)
        marks.markGuest(machine)
        marks.markGone(holding)
        marks.built()
        let marked = marks.take()
        #expect(marked.domains == [domain] && marked.guests == [machine] && marked.holdings == [holding])
    }

    @Test func whatMayWaitIsToldWithTheNextOrSoon() async {
        let patient = Marks()
        patient.needs(machine, [domain])
        patient.markDomain(domain, mayWait: true)
        #expect(await !isAwake(patient))
        let hurried = Marks()
        hurried.needs(machine, [domain])
        hurried.markDomain(domain, mayWait: true)
        hurried.hurry()
        #expect(hurried.take().domains == [domain])
        #expect(await isAwake(hurried))
        let idle = Marks()
        idle.hurry()
        #expect(await !isAwake(idle))
    }

    /// A domain is needed until the last machine in it has gone.
    @Test func needs() {
        let marks = Marks()
        let other = ID<Instance>(bits: 4)
        marks.needs(machine, [domain])
        marks.needs(machine, [domain])
        marks.needs(other, [domain])
        marks.noLongerNeeds(machine)
        #expect(marks.neededDomains() == [domain])
        marks.noLongerNeeds(other)
        marks.noLongerNeeds(other)
        #expect(marks.neededDomains().isEmpty)
    }
}
