import DatabaseTesting
import Model
import Testing

@testable import Database

enum Flavour: String, Column, CaseIterable { case sweet, sour }

enum Thing: Identified { static var kind: Kind { .instance } }

struct Sample: Sendable, Equatable {
    var id: ID<Thing>
    var name: String
    var note: String?
    var flavour: Flavour
    var isOpen: Bool
    var size: ByteCount
    var address: IPv4Address
    var prefix: IPv4Prefix
    var mac: MACAddress
    var made: Instant
    var secret: [UInt8]
    var more: JSON<[String: Int]>
    var zone: Int64?

    static let table = Table(
        "samples", Field("id", \Sample.id), Field("name", \.name), Field("note", \.note), Field("flavour", \.flavour),
        Field("is_open", \.isOpen), Field("size", \.size), Field("address", \.address), Field("prefix", \.prefix),
        Field("mac", \.mac), Field("made", \.made), Field("secret", \.secret), Field("more", \.more), Field("zone", \.zone),
        make: Sample.init)

    static let migration = Migration(
        "samples",
        [
            """
            CREATE TABLE samples (id {int} PRIMARY KEY, name TEXT NOT NULL, note TEXT, flavour TEXT NOT NULL DEFAULT '{}',
                is_open {bool} NOT NULL, size {int} NOT NULL CONSTRAINT samples_size CHECK (size >= 0), address {int} NOT NULL,
                prefix TEXT NOT NULL, mac {int} NOT NULL, made {int} NOT NULL, secret {blob} NOT NULL, more TEXT NOT NULL,
                zone {int}) {strict}
            """,
            "CREATE UNIQUE INDEX samples_name ON samples (name, zone)",
        ])

    static func example(_ bits: UInt64 = 0xfedc_ba98_7654_3210, name: String = "apple") -> Sample {
        Sample(
            id: ID(bits: bits), name: name, note: nil, flavour: .sour, isOpen: true, size: .gibibytes(8),
            address: IPv4Address(255, 254, 253, 252), prefix: IPv4Prefix(host: IPv4Address(10, 0, 0, 1)),
            mac: MACAddress(local: 0xff_ffff_ffff), made: Instant(microseconds: 1_700_000_000_000_001), secret: [0, 255, 1],
            more: JSON(["b": 2, "a": 1]), zone: -1)
    }
}

@Suite struct TableTests {
    @Test func statements() {
        #expect(Sample.table.selectByKey.hasSuffix("mac, made, secret, more, zone FROM samples WHERE id = $1"))
        #expect(Sample.table.insertion.hasSuffix("VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"))
        #expect(Sample.table.list(of: "s").hasPrefix("s.id, s.name, "))
    }

    @Test func decodingUndoesBinding() throws {
        var row = Row(values: Sample.table.values(.example()))
        #expect(try Sample.table.decode(&row) == .example())
    }
}

@Suite struct TableCheckTests {
    @Test func findsNothingWrongWithARightTable() {
        #expect(complaints(about: Sample.table, example: .example()) == [])
    }

    struct Swapped: Sendable {
        var first: String
        var second: String
        var isOne: Bool
        var isOther: Bool
        init(second: String, first: String, isOne: Bool, isOther: Bool) {
            self.first = first
            self.second = second
            self.isOne = isOne
            self.isOther = isOther
        }
    }

    @Test func findsSwappedTextsAndSwappedTruthValues() {
        let texts = Table(
            "swapped", Field("first", \Swapped.first), Field("second", \.second), Field("is_one", \.isOne),
            Field("is_other", \.isOther), make: Swapped.init)
        let example = Swapped(second: "b", first: "a", isOne: true, isOther: true)
        #expect(complaints(about: texts, example: example).contains { $0.contains("swapped.first") })
        let booleans = Table(
            "swapped", Field("second", \Swapped.second), Field("first", \.first), Field("is_other", \.isOther),
            Field("is_one", \.isOne), make: Swapped.init)
        #expect(complaints(about: booleans, example: example).contains { $0.contains("swapped.is_one") })
    }

    @Test func anExampleThatCannotTellIsRefused() {
        let table = Table("parents", Field("id", \Pair.left), Field("size", \.right), make: Pair.init)
        #expect(
            complaints(about: table, example: Pair(left: 1, right: 1)) == ["parents: the example has one value for id and size"])
    }

    struct Pair: Sendable {
        var left: Int
        var right: Int
    }

    @Test(arguments: EngineName.allCases)
    func roundTripsThroughTheEngine(_ name: EngineName) async throws {
        try await Fixtures.with(name) { engine in
            let example = Sample.example()
            #expect(try await complaints(about: Sample.table, example: example, key: example.id, on: engine) == [])
            #expect(try await engine.read { tx throws(Fault) in try tx.count("SELECT count(*) FROM samples") } == 0)
            try await engine.write { tx throws(Fault) in tx.insert(example, into: Sample.table) }
            let claimed = try await engine.write { tx throws(Fault) in
                [
                    try tx.claim(Sample.example(2), in: Sample.table),
                    try tx.claim(Sample.example(3, name: "pear"), in: Sample.table),
                ]
            }
            #expect(claimed == [false, true])
            let all = try await engine.readNow { tx throws(Fault) in
                try tx.all(Sample.table, where: "is_open AND size >= $1 ORDER BY name", [0])
            }
            #expect(all.map(\.name) == ["apple", "pear"])
            #expect(all.first == example)
        }
    }

    /// What is in a column but not in its Swift type is a fault and no trap.
    @Test func unreadableValues() {
        func fault<C: Column>(_ value: Value, as _: C.Type) -> Fault.Code? {
            var row = Row(values: [value])
            do throws(Fault) {
                _ = try row.take(C.self)
                return nil
            } catch { return error.code }
        }
        #expect(fault(-1, as: IPv4Address.self) == .storage)
        #expect(fault(.integer(1 << 32), as: IPv4Address.self) == .storage)
        #expect(fault(.integer(1 << 48), as: MACAddress.self) == .storage)
        #expect(fault(-1, as: MACAddress.self) == .storage)
        #expect(fault("10.0.0.1/8", as: IPv4Prefix.self) == .storage, "host bits are set")
        #expect(fault("salty", as: Flavour.self) == .storage)
        #expect(fault("{", as: JSON<[Int]>.self) == .storage)
        #expect(fault(nil, as: Int.self) == .storage)
        #expect(fault(nil, as: Int?.self) == nil)
        #expect(fault("", as: JSON<[Int]>?.self) == .storage)
        #expect(fault(true, as: Int.self) == .storage)
    }

    @Test func aDocumentThatHasNoTextIsRefusedAndNotTrapped() {
        guard case .refused(let fault) = JSON(Double.nan).value else {
            Issue.record("not a number was encoded")
            return
        }
        #expect(fault.code == .internalError)
        #expect(JSON(["b": "/", "a": "ä"]).value == #"{"a":"ä","b":"/"}"#)
    }
}
