//  The room on the disk that the store lies on. A database needs room for whatever changes it, also for what
//  gives room back, and a disk that is full to its last block lets nobody remove anything. So a store stops
//  taking in what is large while there is some room left, and holds a file of nothing, its ballast, which it lets go of
//  when others have filled the disk all the same; it takes both back by itself once there is room again.

import CLinux
import Model
import Platform
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// How many bytes are free on a disk.
struct FreeBytes: Sendable {
    /// For everybody.
    var common: Int64
    /// For this process, which may have what others may not; a file system may keep some of it for itself.
    var own: Int64
}

/// How much may be put on the disk of a folder.
final class DiskRoom: Sendable {
    /// The most that is kept free, and the most that the ballast takes.
    static let keptBytesMax: Int64 = 64 << 20
    /// Of a small disk it is a part.
    private static let keptPart: Int64 = 12
    /// What databases need to begin with.
    private static let startBytes: Int64 = 4 << 20
    /// Of what is free, what may be reserved ahead of its use: shards reserve side by side.
    private static let reservablePart: Int64 = 8

    private let path: String
    /// Nil where the disk does not say.
    private let free: @Sendable () -> FreeBytes?
    private let kept: Int64
    /// Below this much free room the ballast is let go of: databases still need some to write what comes next.
    private var least: Int64 { kept / 4 }
    /// Below this much free room, with the ballast gone, only what gives room back is done.
    private var rowsMin: Int64 { kept / 2 }
    /// What must be free beyond the ballast and what is kept before it is taken again, so that it does not come and go.
    private var ballastMargin: Int64 { kept / 2 }
    /// Whether it has its length, and when it was last tried to give it that.
    private let ballast: Mutex<(isWhole: Bool, tried: ContinuousClock.Instant?)>
    private let patience: Duration
    /// Called when there is less room than is wanted.
    private let wanting: @Sendable () -> Void

    /// Looks at the disk, and makes room where it is full.
    ///
    /// - Parameter wanting: Called when there is less room than is wanted.
    convenience init(folder: String, wanting: @escaping @Sendable () -> Void) {
        let disk = MeasuredDisk(folder)
        let kept = min(DiskRoom.keptBytesMax, (disk.size ?? .max) / DiskRoom.keptPart)
        self.init(folder: folder, kept: kept, wanting: wanting) { disk.free }
    }

    /// - Parameters:
    ///   - kept: How much is kept free, and how long the ballast is.
    ///   - patience: Between two tries to take the ballast: a quota may refuse what the disk has.
    init(
        folder: String, kept: Int64, patience: Duration = .seconds(2), wanting: @escaping @Sendable () -> Void,
        free: @escaping @Sendable () -> FreeBytes?
    ) {
        self.patience = patience
        path = folder + "/ballast"
        self.free = free
        self.kept = kept
        var file = stat()
        ballast = Mutex((stat(path, &file) == 0 && Int64(file.st_blocks) * 512 >= kept, nil))
        self.wanting = wanting
        adjustBallast()
    }

    /// Lets go of the ballast where nearly nothing is free, and takes it again where there is plenty: to be called
    /// before what must be possible on a full disk.
    ///
    /// - Returns: What is free, unless the disk does not say, and whether the ballast has its length.
    @discardableResult
    func adjustBallast() -> (free: FreeBytes, isWhole: Bool)? {
        guard let free = free() else { return nil }
        return ballast.withLock { ballast in
            if ballast.isWhole, free.common < least { ballast.isWhole = truncate(path, 0) != 0 }
            let now = ContinuousClock.now
            if !ballast.isWhole, free.common >= kept + ballastMargin, ballast.tried.map({ now - $0 >= patience }) ?? true {
                ballast = (reserve(kept), now)
            }
            return (free, ballast.isWhole)
        }
    }

    /// Gives the ballast a length, or none where that cannot be had.
    private func reserve(_ length: Int64) -> Bool {
        let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { return false }
        defer { close(file) }
        if karri_reserve(file, off_t(length)) == 0 { return true }
        // On a file system that reserves nothing there is only what is kept free.
        let isFull = errno == ENOSPC || errno == EDQUOT
        ftruncate(file, 0)
        return !isFull
    }

    /// Whether the disk is full but for what is kept.
    var isShort: Bool {
        guard let free = free() else { return false }
        return free.common < kept || !ballast.withLock(\.isWhole)
    }

    /// Whether there is room for so many bytes of bodies; where there is none, it is wanted from now on.
    func has(_ bytes: Int64) -> Bool {
        guard let (free, isWhole) = adjustBallast() else { return true }
        let (needed, isBeyond) = kept.addingReportingOverflow(max(0, bytes))
        if !isBeyond, free.common >= needed, isWhole { return true }
        wanting()
        return false
    }

    /// Refuses so many bytes of bodies where there is no room for them.
    func admit(_ bytes: Int64) throws(Fault) {
        guard has(bytes) else { throw Fault.noRoom }
    }

    /// Refuses what takes little, so that there is room left for what gives room back.
    func admitRow() throws(Fault) {
        guard let (free, isWhole) = adjustBallast() else { return }
        guard free.own >= rowsMin || isWhole else {
            wanting()
            throw Fault.noRoom
        }
    }

    /// Refuses to begin where not even that is left which a start needs.
    func admitStart() throws(Fault) {
        let isThere = ballast.withLock { ballast in
            // What a disk says is free may be kept for its own needs, so that it is tried.
            if ballast.isWhole { return true }
            defer { truncate(path, 0) }
            return reserve(DiskRoom.startBytes)
        }
        guard isThere else {
            throw Fault(.diskIsFull, "The disk is full: make room on it for the store to start.", kind: .object, cause: path)
        }
    }

    /// How much of so many bytes may be reserved for what is to come.
    func reservable(_ bytes: Int64) -> Int64 {
        guard let free = free() else { return bytes }
        return max(0, min(bytes, (free.common - kept) / DiskRoom.reservablePart))
    }
}

/// The disk of a folder, as the kernel tells it.
private final class MeasuredDisk: Sendable {
    /// Calls that follow close upon each other share what one has found.
    private static let freshness = Duration.milliseconds(5)

    private let folder: String
    private let last = Mutex<(free: FreeBytes?, at: ContinuousClock.Instant)?>(nil)

    init(_ folder: String) { self.folder = folder }

    /// Nil where the disk does not say.
    var size: Int64? { status.map { MeasuredDisk.bytes(UInt64($0.f_blocks), of: $0) } }

    var free: FreeBytes? {
        let now = ContinuousClock.now
        return last.withLock { last in
            if let last, now - last.at < MeasuredDisk.freshness { return last.free }
            let found = measured
            last = (found, now)
            return found
        }
    }

    private var measured: FreeBytes? {
        status.map { status in
            let common = MeasuredDisk.bytes(UInt64(status.f_bavail), of: status)
            return FreeBytes(common: common, own: geteuid() == 0 ? MeasuredDisk.bytes(UInt64(status.f_bfree), of: status) : common)
        }
    }

    /// The kernel has it in memory.
    private var status: statvfs? {
        var status = statvfs()
        return statvfs(folder, &status) == 0 ? status : nil
    }

    private static func bytes(_ blocks: UInt64, of status: statvfs) -> Int64 {
        let (bytes, isBeyond) = blocks.multipliedReportingOverflow(by: UInt64(status.f_frsize))
        return isBeyond ? .max : Int64(clamping: bytes)
    }
}

extension Fault {
    static let noRoom = Fault(.diskIsFull, "There is no room left on the store's disk.", kind: .object)
}
