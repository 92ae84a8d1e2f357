//  A section that many owners share: each is brought up from wherever it stands.

import Fabric
import Model
import Testing

@Suite struct SharedSectionTests {
    /// An owner with the sender that stands for it.
    private struct Owner {
        var document = Document()
        var sender = DocumentSender(epoch: 1, counter: 0)
        var mark: SectionMark?

        mutating func take(_ section: SharedSection) throws {
            let changes = try section.changes(since: mark)
            mark = section.mark
            try send(changes)
        }

        mutating func leave(_ section: SharedSection) throws {
            guard let mark else { return }
            let changes = try section.removal(since: mark)
            self.mark = nil
            try send(changes)
        }

        private mutating func send(_ changes: SectionChanges) throws {
            let update = sender.update([(section: "machines", key: "m", payload: [1])], shared: [changes])
            if let update { _ = try document.apply(update) }
        }
    }

    private func set(_ section: inout SharedSection, _ truth: inout [String: [UInt8]], _ key: Int, _ payload: [UInt8]?) {
        section.set("port/\(key)", payload)
        truth["port/\(key)"] = payload
    }

    /// Owners that look seldom, often, or come and go are all told the truth; digests prove it.
    @Test(arguments: [1, 2, 3] as [UInt64]) func wheneverTheyLook(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        var section = SharedSection(name: "domain/1")
        var truth: [String: [UInt8]] = [:]
        var owners = (0..<5).map { _ in Owner() }
        for _ in 0..<400 {
            for _ in 0..<dice.next() % 5 {
                let payload: [UInt8]? = dice.next() % 3 == 0 ? nil : [UInt8(dice.next() % 4) + 1]
                set(&section, &truth, Int(dice.next() % 20), payload)
            }
            let owner = Int(dice.next() % UInt64(owners.count))
            if dice.next() % 10 == 0 {
                try owners[owner].leave(section)
                #expect(owners[owner].document.entries(of: "domain/1") == nil)
            } else {
                try owners[owner].take(section)
                #expect(owners[owner].document.sections["domain/1"] ?? [:] == truth, "seed \(seed)")
            }
            section.forget(seenBy: owners.compactMap(\.mark), keeping: 10_000)
        }
    }

    @Test func readAnewOnlyTheDifferenceIsTold() throws {
        var section = SharedSection(name: "domain/1")
        for key in ["a", "b", "c"] { section.set(key, [1]) }
        var owner = Owner()
        try owner.take(section)
        section.replace(with: ["a": [1], "b": [2], "d": [3]])
        #expect(section.changeCount == 6)
        try owner.take(section)
        #expect(owner.document.sections["domain/1"] == ["a": [1], "b": [2], "d": [3]])
    }

    @Test func whoIsTooFarBehindBeginsAnew() throws {
        var section = SharedSection(name: "domain/1")
        section.set("a", [1])
        var (slow, quick) = (Owner(), Owner())
        try slow.take(section)
        for number in 0..<20 { section.set("b", [UInt8(number) + 1]) }
        try quick.take(section)
        section.forget(seenBy: [slow.mark, quick.mark].compactMap(\.self), keeping: 10)
        #expect(section.changeCount == 10)
        #expect(throws: Fault.self) { try slow.take(section) }
        #expect(throws: Fault.self) { try slow.leave(section) }
        section.set("c", [9])
        try quick.take(section)
        #expect(quick.document.sections["domain/1"] == ["a": [1], "b": [20], "c": [9]])
    }

    @Test func whatAllHaveSeenIsForgotten() {
        var section = SharedSection(name: "domain/1")
        section.set("a", [1])
        section.set("a", [1])
        #expect(section.changeCount == 1)
        let mark = section.mark
        section.set("a", [2])
        section.forget(seenBy: [mark], keeping: 10)
        #expect(section.changeCount == 1)
        section.forget(seenBy: [mark, section.mark], keeping: 10)
        #expect(section.changeCount == 1)
        section.forget(seenBy: [section.mark], keeping: 10)
        #expect(section.changeCount == 0)
    }
}
