//  What the tests of disks share: a folder that goes away, files of qemu-img, forged headers.

import Foundation
import Logging
import Model
import Platform
import Synchronization

@testable import Disks

/// A folder of one test's own.
final class TestFolder: Sendable {
    let path: String

    init() throws {
        path = "/tmp/karri-disks-\(hexDigits(UInt64.random(in: .min ... .max)))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { "\(path)/\(name)" }

    func write(_ bytes: [UInt8], _ name: String) throws -> String {
        try Data(bytes).write(to: URL(filePath: file(name)))
        return file(name)
    }

    /// A pool in this folder, with no reserve, opened.
    func pool(_ name: String = "pool", adjust: (inout FilePool.Configuration) -> Void = { _ in }) async throws -> FilePool {
        var configuration = FilePool.Configuration(folder: file(name))
        configuration.reserve = .zero
        adjust(&configuration)
        let pool = FilePool(configuration, log: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        try await pool.open()
        return pool
    }

    /// A raw image: `mebibytes` long, some of it filled with a pattern.
    func rawImage(_ name: String = "image.raw", mebibytes: Int64 = 8, seed: UInt64 = 1) throws -> String {
        var dice = Dice(seed: seed)
        let content = (0..<(64 << 10)).map { _ in UInt8(truncatingIfNeeded: dice.next()) }
        let file = try HostFile(file(name), O_RDWR | O_CREAT)
        try file.write(content, at: 1 << 20)
        try file.write(content, at: (5 << 20) + 12288)
        try file.truncate(to: mebibytes << 20)
        return self.file(name)
    }
}

/// SHA-256 by the host's own program.
func sha256sum(_ path: String) async throws -> String {
    String(try await Command.run("sha256sum", [path]).prefix(64))
}

/// The header of a small, valid qcow2 file, to be forged.
struct QCOW2Forgery {
    var version: UInt32 = 3
    var backingOffset: UInt64 = 0
    var backingLength: UInt32 = 0
    var clusterBits: UInt32 = 16
    var size: UInt64 = 1 << 30
    var encryption: UInt32 = 0
    var l1Entries: UInt32 = 2
    var l1Offset: UInt64 = 0x30000
    var refcountOffset: UInt64 = 0x10000
    var refcountClusters: UInt32 = 1
    var snapshots: UInt32 = 0
    var incompatible: UInt64 = 0
    var refcountOrder: UInt32 = 4
    var headerLength: UInt32 = 112
    var compression: UInt8 = 0
    var extensions: [UInt8] = []

    var bytes: [UInt8] {
        func number(_ value: some BinaryInteger, _ count: Int) -> [UInt8] { QCOW2Overlay.number(value, count) }
        var bytes: [UInt8] = [0x51, 0x46, 0x49, 0xfb] + number(version, 4) + number(backingOffset, 8) + number(backingLength, 4)
        bytes += number(clusterBits, 4) + number(size, 8) + number(encryption, 4) + number(l1Entries, 4) + number(l1Offset, 8)
        bytes += number(refcountOffset, 8) + number(refcountClusters, 4) + number(snapshots, 4) + number(0, 8)
        if version == 3 {
            bytes += number(incompatible, 8) + number(0, 8) + number(0, 8) + number(refcountOrder, 4) + number(headerLength, 4)
            bytes += [compression] + number(0, 7)
        }
        bytes += extensions
        return bytes + [UInt8](repeating: 0, count: 65536 - bytes.count)
    }

    func read() throws(Fault) -> ImageHeader {
        try ImageHeader.read(head: bytes, tail: Array(bytes.suffix(512)), fileSize: .mebibytes(4))
    }
}

/// A small sparse VMDK's first sectors.
struct VMDKForgery {
    var version: UInt32 = 1
    var capacity: UInt64 = 16384
    var descriptorSector: UInt64 = 1
    var descriptor =
        "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"monolithicSparse\"\n\nRW 16384 SPARSE \"x.vmdk\"\n"

    var bytes: [UInt8] {
        func number(_ value: some BinaryInteger, _ count: Int) -> [UInt8] { QCOW2Overlay.number(value, count).reversed() }
        var bytes: [UInt8] = Array("KDMV".utf8) + number(version, 4) + number(3, 4) + number(capacity, 8) + number(128, 8)
        bytes += number(descriptorSector, 8) + number(20, 8) + number(512, 4)
        bytes += [UInt8](repeating: 0, count: 512 - bytes.count) + Array(descriptor.utf8)
        return bytes + [UInt8](repeating: 0, count: 65536 - bytes.count)
    }
}

extension ID where Thing == Volume {
    static func test(_ bits: UInt64) -> ID<Volume> { ID(bits: bits) }
}
