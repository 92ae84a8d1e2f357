import Fabric
import Model
import Testing

@Suite struct DocumentTests {
    private func entries(_ list: [(String, String, String?)]) -> [(section: String, key: String, payload: [UInt8]?)] {
        list.map { ($0.0, $0.1, $0.2.map { Array($0.utf8) }) }
    }

    private func next(
        _ sender: inout DocumentSender, _ entries: [(section: String, key: String, payload: [UInt8]?)]
    ) throws -> DocumentUpdate {
        let update = sender.update(entries)
        return try #require(update)
    }

    @Test func differencesBringTheOwnerUp() throws {
        var sender = DocumentSender(epoch: 3, counter: 0)
        var owner = Document()
        let first = try next(&sender, entries([("machines", "a", "1"), ("disks", "b", "2")]))
        #expect(first.whole)
        #expect(try owner.apply(first).count == 2)
        let second = try next(&sender, entries([("machines", "a", "1"), ("disks", "b", nil), ("disks", "c", "3")]))
        #expect(second.changes.count == 2)
        #expect(Set(try owner.apply(second).map(\.key)) == ["b", "c"])
        #expect(owner.sections["disks"] == ["c": Array("3".utf8)])
        let nothing = sender.update(entries([("disks", "c", "3")]))
        #expect(nothing == nil)
    }

    @Test func theWholeRemovesWhatItDoesNotName() throws {
        var owner = Document()
        var old = DocumentSender(epoch: 1, counter: 0)
        _ = try owner.apply(try next(&old, entries([("machines", "a", "1")])))
        var fresh = DocumentSender(epoch: 2, counter: 0)
        let touched = try owner.apply(try next(&fresh, entries([("machines", "b", "1")])))
        #expect(Set(touched.map(\.key)) == ["a", "b"])
        #expect(owner.sections == ["machines": ["b": Array("1".utf8)]])
    }

    @Test func anOlderGenerationIsRefused() throws {
        var owner = Document()
        var new = DocumentSender(epoch: 5, counter: 0)
        _ = try owner.apply(try next(&new, entries([("machines", "a", "1")])))
        var old = DocumentSender(epoch: 4, counter: 90)
        let stale = try next(&old, [])
        #expect(throws: Fault.self) { try owner.apply(stale) }
        #expect(owner.sections["machines"] != nil)
    }

    @Test func aWrongDigestIsRefusedAndChangesNothing() throws {
        var owner = Document()
        var sender = DocumentSender(epoch: 1, counter: 0)
        var update = try next(&sender, entries([("machines", "a", "1")]))
        update.changes[0].payload = .init([9])
        #expect(throws: Fault.self) { try owner.apply(update) }
        #expect(owner.sections.isEmpty)
    }

    /// Where a name ends is part of what the digest proves: the same bytes, parted otherwise, are other entries.
    @Test(arguments: [("machines", "ab", "1"), ("machine", "sa", "b1"), ("machinesa", "b", "1"), ("machines", "a", "b1")])
    func aDigestProvesWhereNamesEnd(section: String, key: String, payload: String) throws {
        var owner = Document()
        var sender = DocumentSender(epoch: 1, counter: 0)
        var update = try next(&sender, entries([("machinesa", "", "b1")]))
        update.changes[0].section = section
        update.changes[0].key = key
        update.changes[0].payload = .init(payload.utf8)
        #expect(throws: Fault.self) { try owner.apply(update) }
        #expect(owner.sections.isEmpty)
    }

    /// A whole that is refused has first removed, changed and added.
    @Test func aWrongWholeIsRefusedAndChangesNothing() throws {
        var owner = Document()
        var old = DocumentSender(epoch: 1, counter: 0)
        _ = try owner.apply(try next(&old, entries([("machines", "a", "1"), ("disks", "b", "2"), ("disks", "c", "3")])))
        let (sections, digest) = (owner.sections, owner.digestBytes)
        var fresh = DocumentSender(epoch: 2, counter: 0)
        var update = try next(&fresh, entries([("disks", "b", "4"), ("disks", "d", "5")]))
        let proof = update.digest
        update.digest = .init(digest)
        #expect(throws: Fault.self) { try owner.apply(update) }
        #expect(owner.sections == sections && owner.digestBytes == digest && owner.generation == Generation(epoch: 1, counter: 1))
        update.digest = proof
        #expect(Set(try owner.apply(update).map(\.key)) == ["a", "b", "c", "d"])
        #expect(owner.sections == ["disks": ["b": Array("4".utf8), "d": Array("5".utf8)]])
    }

    @Test func whatWasThereBeforeIsTold() throws {
        var owner = Document()
        var sender = DocumentSender(epoch: 1, counter: 0)
        #expect(try owner.apply(try next(&sender, entries([("disks", "b", "2")]))).first?.before == nil)
        let touched = try owner.apply(try next(&sender, entries([("disks", "b", "3")])))
        #expect(touched.first?.before?.payload == Array("2".utf8))
    }

    /// Documents of one process hold one copy of what they have in common, and none of what went.
    @Test func documentsShareEntries() throws {
        let stock = EntryStock()
        var owners = [Document(sharing: stock), Document(sharing: stock)]
        let many = (0..<3000).map { ("domain/1", "port/\($0)", String?.some("payload \($0)")) }
        var sender = DocumentSender(epoch: 1, counter: 0)
        let first = try next(&sender, entries(many))
        let second = try next(&sender, entries(many.map { ($0.0, $0.1, nil) }))
        for index in owners.indices { _ = try owners[index].apply(first) }
        #expect(stock.count == 3000)
        for (one, other) in zip(owners[0].entries(of: "domain/1") ?? [], owners[1].entries(of: "domain/1") ?? []) {
            #expect(one === other)
        }
        for index in owners.indices { _ = try owners[index].apply(second) }
        let others = try next(&sender, entries(many.map { ($0.0, $0.1, ($0.2 ?? "") + " again") }))
        _ = try owners[0].apply(others)
        #expect(stock.count <= 6000)
        _ = try owners[0].apply(try next(&sender, entries(many.map { ($0.0, $0.1, nil) })))
        _ = try owners[0].apply(try next(&sender, entries(many)))
        #expect(stock.count <= 6000)
    }

    @Test func whatIsKeptIsRead() throws {
        var owner = Document()
        var sender = DocumentSender(epoch: 1, counter: 7)
        _ = try owner.apply(try next(&sender, entries([("machines", "a", "1"), ("edge", "x", "y")])))
        let kept = try owner.kept()
        let read = try Document(kept: kept)
        #expect(read.sections == owner.sections)
        #expect(read.generation == owner.generation)
        #expect(throws: Fault.self) { try Document(kept: Array(kept.dropLast(3))) }
    }
}
