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

@Suite struct SmokeTests {
    @Test func works() async throws {
        let engine = try SQLiteEngine(path: "/tmp/karri-smoke-\(UInt64.random(in: 0...UInt64.max)).sqlite")
        try await engine.migrate([Sample.migration])
        try await engine.write { tx throws(Fault) in tx.insert(.example(), into: Sample.table) }
        let found = try await engine.readNow { tx throws(Fault) in try tx.find(Sample.table, Sample.example().id) }
        #expect(found == .example())
        let fault = await #expect(throws: Fault.self) {
            try await engine.write { tx throws(Fault) in tx.insert(.example(7), into: Sample.table) }
        }
        #expect(fault?.isDuplicate("samples", "name", "zone") == true)
        await engine.close()
    }
}
