//  A pool without files, for clouds of simulated hosts and for tests: the same answers and the same
//  refusals as a `FilePool`, at a few hundred bytes a disk. Time and trouble are injected.

import Model
import Synchronization

/// The simulated twin of `FilePool`.
public final class SimulatedPool: DiskDriver {
    /// The calls that a `Trouble` is asked about.
    public enum Call: String, Sendable, Hashable, CaseIterable {
        case open, capacity, list, inspect, importImage, verify, removeImage, create, grow, give, remove, chain, path
    }

    /// Asked before each call: may wait, and may throw what the call then throws, having done nothing.
    public typealias Trouble = @Sendable (Call) async throws(Fault) -> Void

    private struct Disk {
        var specification: DiskSpecification
        var user: UInt32 = 0
    }

    private struct ImageName: Hashable {
        var digest: ImageDigest
        var kind: ImageKind
    }

    private struct State {
        var disks: [ID<Volume>: Disk] = [:]
        var images: [ImageName: ImageCopy] = [:]
        var imagesInUse: [ImageDigest: Int] = [:]
        var promised: Int64 = 0
        var trouble: Trouble?
    }

    private let total: ByteCount
    private let holdsEveryImage: Bool
    private let state = Mutex(State())

    /// - Parameters:
    ///   - total: The space that the pool claims to have. Images occupy of it, disks promise.
    ///   - holdsEveryImage: Whether an image that is asked for is there although nobody imported it,
    ///     as if it had been fetched from the pool that did.
    public init(total: ByteCount = .gibibytes(1000), holdsEveryImage: Bool = false) {
        self.total = total
        self.holdsEveryImage = holdsEveryImage
    }

    /// Replaces what is asked before each call; nil ends all trouble.
    public func setTrouble(_ trouble: Trouble?) { state.withLock { $0.trouble = trouble } }

    /// Puts an image in the pool without a file.
    public func addImage(_ image: ImageCopy) {
        state.withLock { $0.images[ImageName(digest: image.digest, kind: image.kind)] = image }
    }

    private func ask(_ call: Call) async throws(Fault) {
        guard let trouble = state.withLock({ $0.trouble }) else { return }
        try await trouble(call)
    }

    /// The copy of an image, which is there now if the pool holds every image.
    private func copy(of digest: ImageDigest, _ kind: ImageKind, in state: inout State) -> ImageCopy? {
        let name = ImageName(digest: digest, kind: kind)
        if state.images[name] == nil, holdsEveryImage {
            state.images[name] = ImageCopy(digest: digest, kind: kind, virtualSize: .gibibytes(1), actualSize: .mebibytes(64))
        }
        return state.images[name]
    }

    /// `Mutex.withLock` with the fault's type kept.
    private func change<Result: Sendable>(_ body: (inout State) throws(Fault) -> Result) throws(Fault) -> Result {
        let outcome = state.withLock { state -> Swift.Result<Result, Fault> in
            do throws(Fault) { return .success(try body(&state)) } catch { return .failure(error) }
        }
        return try outcome.get()
    }

    public func open() async throws(Fault) { try await ask(.open) }

    public func capacity() async throws(Fault) -> PoolCapacity {
        try await ask(.capacity)
        return state.withLock { state in
            let images = ByteCount(state.images.values.reduce(0) { $0 + $1.actualSize.bytes })
            return PoolCapacity(
                total: total, free: total - images, images: images, promised: ByteCount(state.promised), written: .zero)
        }
    }

    public func list() async throws(Fault) -> PoolContents {
        try await ask(.list)
        return state.withLock { state in
            let disks = state.disks.values.map {
                DiskReport(specification: $0.specification, actualSize: .zero, user: $0.user, isLost: false)
            }
            return PoolContents(
                disks: disks.sorted { $0.specification.id < $1.specification.id },
                images: state.images.values.sorted { ($0.digest, $0.kind.rawValue) < ($1.digest, $1.kind.rawValue) })
        }
    }

    /// Every path is a raw disk of one GiB.
    public func inspect(_ path: String) async throws(Fault) -> ImageHeader {
        try await ask(.inspect)
        return ImageHeader(format: .raw, virtualSize: .gibibytes(1))
    }

    /// The file is not read: its path makes the digest, unless one is expected.
    public func importImage(
        _ request: ImageImport, progress: @escaping @Sendable (Double) -> Void
    ) async throws(Fault) -> ImageCopy {
        try await ask(.importImage)
        progress(1)
        let digest = request.expected ?? simulatedDigest(of: request.path)
        let copy = ImageCopy(digest: digest, kind: request.kind, virtualSize: .gibibytes(1), actualSize: .mebibytes(64))
        return state.withLock { state in
            let name = ImageName(digest: digest, kind: request.kind)
            if let there = state.images[name] { return there }
            state.images[name] = copy
            return copy
        }
    }

    public func verify(_ image: ImageCopy) async throws(Fault) {
        try await ask(.verify)
        _ = try await path(of: image.digest, kind: image.kind)
    }

    public func removeImage(_ digest: ImageDigest, kind: ImageKind) async throws(Fault) {
        try await ask(.removeImage)
        try change { state throws(Fault) in
            guard kind != .disk || state.imagesInUse[digest, default: 0] == 0 else { throw PoolRefusals.imageInUse(digest) }
            state.images[ImageName(digest: digest, kind: kind)] = nil
        }
    }

    public func create(_ disk: DiskSpecification) async throws(Fault) {
        try await ask(.create)
        try PoolRefusals.checkSize(of: disk)
        try change { state throws(Fault) in
            if let there = state.disks[disk.id] {
                guard there.specification == disk else { throw PoolRefusals.otherDisk(disk.id) }
                return
            }
            if case .image(let digest) = disk.source {
                let image = copy(of: digest, .disk, in: &state)
                try PoolRefusals.check(disk, liesOn: image?.virtualSize)
                state.imagesInUse[digest, default: 0] += 1
            }
            state.disks[disk.id] = Disk(specification: disk)
            state.promised += disk.size.bytes
        }
    }

    public func grow(_ disk: ID<Volume>, to size: ByteCount, writer: DiskWriter) async throws(Fault) {
        try await ask(.grow)
        try change { state throws(Fault) in
            guard var there = state.disks[disk] else { throw PoolRefusals.noDisk(disk) }
            guard size > there.specification.size else { return }
            state.promised += size.bytes - there.specification.size.bytes
            there.specification.size = size
            try PoolRefusals.checkSize(of: there.specification)
            state.disks[disk] = there
        }
    }

    public func give(_ disk: ID<Volume>, to user: UInt32) async throws(Fault) {
        try await ask(.give)
        try change { state throws(Fault) in
            guard state.disks[disk] != nil else { throw PoolRefusals.noDisk(disk) }
            state.disks[disk]?.user = user
        }
    }

    public func remove(_ disk: ID<Volume>) async throws(Fault) {
        try await ask(.remove)
        state.withLock { state in
            guard let gone = state.disks.removeValue(forKey: disk) else { return }
            state.promised -= gone.specification.size.bytes
            if case .image(let digest) = gone.specification.source { state.imagesInUse[digest, default: 1] -= 1 }
        }
    }

    public func chain(of disk: ID<Volume>) async throws(Fault) -> [DiskLayer] {
        try await ask(.chain)
        guard let there = state.withLock({ $0.disks[disk] }) else { throw PoolRefusals.noDisk(disk) }
        return PoolLayout(folder: "/simulated").chain(of: there.specification)
    }

    public func path(of digest: ImageDigest, kind: ImageKind) async throws(Fault) -> String {
        try await ask(.path)
        try change { state throws(Fault) in
            guard copy(of: digest, kind, in: &state) != nil else { throw PoolRefusals.noImage(digest) }
        }
        return PoolLayout(folder: "/simulated").image(digest, kind)
    }

    /// Sixteen hex digits of the FNV-1a hash of the path, four times: stable, and no content's digest.
    private func simulatedDigest(of path: String) -> ImageDigest {
        let hash = path.utf8.reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        let hex = String(repeating: hexDigits(hash), count: 4)
        guard let digest = ImageDigest(hex: hex) else { preconditionFailure("64 hex digits are a digest") }
        return digest
    }
}
