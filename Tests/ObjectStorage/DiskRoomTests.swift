//  What may be put on a disk that is nearly full, and the file of nothing that is let go of then.

import Foundation
import Model
import Synchronization
import Testing

@testable import ObjectStorage

@Suite struct DiskRoomTests {
    /// A disk that says what the test wants.
    private final class Disk: Sendable {
        let free: Mutex<FreeBytes?>
        let wanted = Mutex(0)
        let folder = NSTemporaryDirectory() + "karri-room-\(Chance.system.bits())"

        init(_ free: Int64?) throws {
            self.free = Mutex(free.map { FreeBytes(common: $0, own: $0) })
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        }
        deinit { try? FileManager.default.removeItem(atPath: folder) }

        func has(_ common: Int64, own: Int64? = nil) { free.withLock { $0 = FreeBytes(common: common, own: own ?? common) } }

        func room() -> DiskRoom {
            DiskRoom(folder: folder, kept: 1000 << 10, patience: .zero) { [self] in
                wanted.withLock { $0 += 1 }
            } free: { [self] in
                free.withLock(\.self)
            }
        }

        /// How long the file of nothing is.
        var held: Int { (try? FileManager.default.attributesOfItem(atPath: folder + "/ballast")[.size] as? Int) ?? 0 }
    }

    private static let kibibyte: Int64 = 1 << 10

    private func isRefused(_ call: () throws(Fault) -> Void) -> Bool {
        do throws(Fault) {
            try call()
            return false
        } catch { return error.code == .diskIsFull }
    }

    @Test func aDiskThatFillsAndEmpties() throws {
        let disk = try Disk(100_000 * Self.kibibyte)
        let room = disk.room()
        #expect(disk.held == 1000 << 10 && !room.isShort)
        #expect(!isRefused { () throws(Fault) in try room.admit(99_000 * Self.kibibyte) })
        #expect(isRefused { () throws(Fault) in try room.admit(99_001 * Self.kibibyte) })
        #expect(isRefused { () throws(Fault) in try room.admit(.max) } && disk.wanted.withLock(\.self) == 2)
        // What is kept free is not for bodies.
        disk.has(999 * Self.kibibyte)
        #expect(isRefused { () throws(Fault) in try room.admit(0) })
        #expect(!isRefused { () throws(Fault) in try room.admitRow() } && room.isShort)
        #expect(disk.held == 1000 << 10)
        // Others have taken that too; what is let go of is for what takes little, and the last of it for none of that.
        disk.has(0)
        room.adjustBallast()
        #expect(disk.held == 0)
        disk.has(0, own: 500 * Self.kibibyte)
        #expect(!isRefused { () throws(Fault) in try room.admitRow() })
        disk.has(0, own: 499 * Self.kibibyte)
        #expect(isRefused { () throws(Fault) in try room.admitRow() })
        // It is taken back only where enough is left beside it.
        disk.has(1499 * Self.kibibyte)
        #expect(isRefused { () throws(Fault) in try room.admit(0) } && disk.held == 0 && room.isShort)
        disk.has(1500 * Self.kibibyte)
        #expect(!isRefused { () throws(Fault) in try room.admit(0) } && disk.held == 1000 << 10 && !room.isShort)
    }

    @Test func whatIsReservedLeavesRoom() throws {
        let disk = try Disk(9_000 * Self.kibibyte)
        let room = disk.room()
        #expect(room.reservable(64) == 64 && room.reservable(.max) == 1000 * Self.kibibyte)
        disk.has(500 * Self.kibibyte)
        #expect(room.reservable(64) == 0)
    }

    @Test func aStartOnAFullDisk() throws {
        let disk = try Disk(0)
        // There is room for a start, whatever the disk says.
        let room = disk.room()
        try room.admitStart()
        #expect(disk.held == 0)
        disk.has(9_000 * Self.kibibyte)
        room.adjustBallast()
        #expect(disk.held == 1000 << 10)
        // What the last process held is known, and what it let go of.
        disk.has(1_200 * Self.kibibyte)
        #expect(!disk.room().isShort)
        disk.has(0)
        #expect(disk.room().isShort && disk.held == 0)
    }

    @Test func aDiskThatDoesNotSay() throws {
        let disk = try Disk(nil)
        let room = disk.room()
        try room.admit(.max)
        try room.admitRow()
        #expect(!room.isShort && room.reservable(7) == 7)
    }
}
