import Foundation
import Model
import Synchronization
import Testing

@testable import Disks

/// One story on the real and the simulated pool, so that they stay twins.
@Suite struct BothPoolsTests {
    enum Twin: String, CaseIterable { case files, simulated }

    let folder: TestFolder
    init() throws { folder = try TestFolder() }

    func pool(_ twin: Twin) async throws -> any DiskDriver {
        switch twin {
        case .files: return try await folder.pool()
        case .simulated: return SimulatedPool()
        }
    }

    @Test(arguments: Twin.allCases)
    func story(twin: Twin) async throws {
        let pool = try await pool(twin)
        try await pool.open()
        let raw = try folder.rawImage()
        let image = try await pool.importImage(.init(path: raw, kind: .disk)) { _ in }
        let root = DiskSpecification(id: .test(1), size: .gibibytes(2), source: .image(image.digest))
        let data = DiskSpecification(id: .test(2), size: .gibibytes(1), source: .empty)
        for disk in [data, root] {
            try await pool.create(disk)
            try await pool.create(disk)
        }
        try await pool.give(root.id, to: 20007)
        try await pool.grow(data.id, to: .gibibytes(3), writer: .none)
        let contents = try await pool.list()
        #expect(contents.disks.map(\.specification.id) == [root.id, data.id])
        #expect(contents.disks.map(\.user) == [20007, 0])
        #expect(contents.images.map(\.digest) == [image.digest])
        #expect(try await pool.capacity().promised == .gibibytes(5))
        #expect(try await pool.chain(of: root.id).map(\.format) == [.qcow2, .raw])
        #expect(try await pool.chain(of: data.id).map(\.format) == [.raw])

        func code(_ call: () async throws -> Void) async -> Fault.Code? {
            await #expect(throws: Fault.self) { try await call() }?.code
        }
        #expect(
            await code { try await pool.create(.init(id: root.id, size: .gibibytes(4), source: root.source)) } == .alreadyExists)
        #expect(
            await code { try await pool.create(.init(id: .test(3), size: ByteCount(512), source: root.source)) }
                == .invalidParameter)
        #expect(
            await code { try await pool.create(.init(id: .test(3), size: ByteCount(511), source: .empty)) } == .invalidParameter)
        #expect(
            await code { try await pool.create(.init(id: .test(3), size: .gibibytes(17 << 10), source: .empty)) }
                == .invalidParameter)
        let unknown = try #require(ImageDigest(hex: String(repeating: "0", count: 64)))
        #expect(
            await code { try await pool.create(.init(id: .test(3), size: .gibibytes(4), source: .image(unknown))) } == .notFound)
        #expect(await code { _ = try await pool.chain(of: .test(3)) } == .notFound)
        #expect(await code { _ = try await pool.path(of: unknown, kind: .disk) } == .notFound)
        #expect(await code { try await pool.removeImage(image.digest, kind: .disk) } == .inUse)

        for disk in [root, data] {
            try await pool.remove(disk.id)
            try await pool.remove(disk.id)
        }
        try await pool.removeImage(image.digest, kind: .disk)
        #expect(try await pool.list() == PoolContents())
        #expect(try await pool.capacity().promised == .zero)
    }

    @Test func troubleIsInjected() async throws {
        let pool = SimulatedPool()
        pool.setTrouble { (call) throws(Fault) in if call == .create { throw Fault(.storage, "injected") } }
        let disk = DiskSpecification(id: .test(1), size: .gibibytes(1), source: .empty)
        #expect(await #expect(throws: Fault.self) { try await pool.create(disk) }?.message == "injected")
        #expect(try await pool.list().disks.isEmpty)
        pool.setTrouble(nil)
        try await pool.create(disk)
        #expect(try await pool.list().disks.count == 1)
    }

    @Test func manyDisksAreCheap() async throws {
        let pool = SimulatedPool(total: .gibibytes(1 << 20))
        let digest = try #require(ImageDigest(hex: String(repeating: "1", count: 64)))
        pool.addImage(.init(digest: digest, kind: .disk, virtualSize: .gibibytes(1), actualSize: .gibibytes(1)))
        let clock = ContinuousClock()
        let elapsed = try await clock.measure {
            for bits in 0..<20000 {
                try await pool.create(.init(id: .test(UInt64(bits)), size: .gibibytes(8), source: .image(digest)))
            }
            #expect(try await pool.capacity().promised == .gibibytes(160_000))
        }
        #expect(elapsed < .seconds(5))
    }
}
