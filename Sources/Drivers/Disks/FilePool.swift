//  A pool of files on the host's own disk. The steps of each change are ordered so that after a kill
//  or a power cut at any instant `open` can finish or undo it:
//
//      create: make in staging → record → move into place      remove: move to staging → drop the record
//
//  A disk exists when its record does. The pool reads no byte that a guest could have written.

import FoundationEssentials
import Glibc
import Logging
import Model
import Platform

/// Disks and image copies as files under one folder.
public actor FilePool: DiskDriver {
    /// What differs between pools and in tests.
    public struct Configuration: Sendable {
        /// On a file system with holes and rename; `Installation.pool`.
        public var folder: String
        /// The user id that converters run with; nobody else's.
        public var converterUser: UInt32
        /// Space that is left to the host: imports and new disks stop before they touch it.
        public var reserve: ByteCount
        /// The largest disk that an image may hold.
        public var virtualSizeMax: ByteCount
        /// How long one conversion may take, on the clock and on the processor.
        public var conversionMax: Duration
        /// How many imports may run at once.
        public var importsMax: Int
        public var headers: HeaderReading
        /// Total and free space of the file system that holds a path.
        public var space: @Sendable (String) throws(Fault) -> (total: ByteCount, free: ByteCount)
        /// Called as each step is done, for tests that look at the folder as a crash would leave it.
        public var passing: @Sendable (PoolStep) -> Void

        public init(folder: String, converterUser: UInt32 = 20000) {
            self.folder = folder
            self.converterUser = converterUser
            reserve = .gibibytes(1)
            virtualSizeMax = .gibibytes(1 << 10)
            conversionMax = .seconds(1800)
            importsMax = 4
            headers = .inProcess
            let measure: @Sendable (String) throws(Fault) -> (total: ByteCount, free: ByteCount) = { path throws(Fault) in
                try HostFolder.space(path)
            }
            space = measure
            let nothing: @Sendable (PoolStep) -> Void = { _ in }
            passing = nothing
        }
    }

    private struct Record: Codable {
        var disk: DiskSpecification
    }

    private let configuration: Configuration
    private let layout: PoolLayout
    private let log: Logger
    private let executor = BlockingExecutor(name: "karri.pool")
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private var disks: [ID<Volume>: DiskSpecification] = [:]
    private var importsRunning = 0
    private var importsBegun = 0

    public init(_ configuration: Configuration, log: Logger) {
        self.configuration = configuration
        self.log = log
        layout = PoolLayout(folder: configuration.folder)
    }

    // MARK: What is there

    public func open() throws(Fault) {
        try HostFolder.make(configuration.folder, mode: 0o711)
        try HostFolder.make(layout.images, mode: 0o711)
        try HostFolder.make(layout.disks, mode: 0o711)
        try HostFolder.make(layout.records, mode: 0o700)
        try HostFolder.make(layout.staging, mode: 0o700)
        try HostFolder.make(layout.staging + "/jail", mode: 0o700)
        disks = [:]
        for name in try Folder.names(in: layout.records) {
            guard let id = PoolLayout.record(named: name), let bytes = try AtomicFile.read(layout.record(id), limit: 64 << 10)
            else {
                continue
            }
            do {
                let record = try JSONDecoder().decode(Record.self, from: Data(bytes))
                guard record.disk.id == id else { throw Fault(.storage, "it is of another disk") }
                disks[id] = record.disk
            } catch {
                throw Fault(.storage, "the pool's record \(name) cannot be read", because: error)
            }
        }
        for name in try Folder.names(in: layout.staging) where name != "jail" { try settle(name) }
    }

    /// Finishes or sweeps one name that a crash left in the staging folder.
    private func settle(_ name: String) throws(Fault) {
        let path = "\(layout.staging)/\(name)"
        if name.hasPrefix("made-"), let (id, format) = PoolLayout.disk(named: name.dropFirst(5)),
            disks[id]?.source.format == format,
            try HostFolder.status(layout.disk(id, format)) == nil
        {
            log.notice("finishing a disk that was being made", metadata: ["disk": "\(id.hex)"])
            try place(id, format)
            return
        }
        if name.hasPrefix("removed-"), let (id, _) = PoolLayout.disk(named: name.dropFirst(8)), disks[id] != nil {
            log.notice("finishing a disk's removal", metadata: ["disk": "\(id.hex)"])
            try forget(id)
        }
        log.info("sweeping what was half made", metadata: ["name": "\(name)"])
        try HostFolder.remove(path)
    }

    public func capacity() throws(Fault) -> PoolCapacity {
        let (total, free) = try configuration.space(layout.folder)
        let contents = try list()
        return PoolCapacity(
            total: total, free: max(.zero, free - configuration.reserve),
            images: ByteCount(contents.images.reduce(0) { $0 + $1.actualSize.bytes }),
            promised: ByteCount(disks.values.reduce(0) { $0 + $1.size.bytes }),
            written: ByteCount(contents.disks.reduce(0) { $0 + $1.actualSize.bytes }))
    }

    public func list() throws(Fault) -> PoolContents {
        var contents = PoolContents()
        for disk in disks.values.sorted(by: { $0.id < $1.id }) {
            let status = try HostFolder.status(layout.disk(disk.id, disk.source.format))
            contents.disks.append(
                DiskReport(
                    specification: disk, actualSize: status?.allocated ?? .zero, user: status?.st_uid ?? 0, isLost: status == nil))
        }
        for name in try Folder.names(in: layout.images) {
            guard let (digest, kind) = PoolLayout.image(named: name), let copy = try image(digest, kind) else {
                contents.unknown.append("images/\(name)")
                continue
            }
            contents.images.append(copy)
        }
        contents.images.sort { ($0.digest, $0.kind.rawValue) < ($1.digest, $1.kind.rawValue) }
        for name in try Folder.names(in: layout.disks) {
            if let (id, format) = PoolLayout.disk(named: name), disks[id]?.source.format == format { continue }
            contents.unknown.append("disks/\(name)")
        }
        contents.unknown = Array(contents.unknown.sorted().prefix(1000))
        return contents
    }

    private func image(_ digest: ImageDigest, _ kind: ImageKind) throws(Fault) -> ImageCopy? {
        guard let status = try HostFolder.status(layout.image(digest, kind)), status.isRegular else { return nil }
        return ImageCopy(digest: digest, kind: kind, virtualSize: ByteCount(Int64(status.st_size)), actualSize: status.allocated)
    }

    public func chain(of disk: ID<Volume>) throws(Fault) -> [DiskLayer] {
        guard let disk = disks[disk] else { throw PoolRefusals.noDisk(disk) }
        return layout.chain(of: disk)
    }

    public func path(of digest: ImageDigest, kind: ImageKind) throws(Fault) -> String {
        guard try image(digest, kind) != nil else { throw PoolRefusals.noImage(digest) }
        return layout.image(digest, kind)
    }

    // MARK: Images

    public func inspect(_ path: String) async throws(Fault) -> ImageHeader {
        try await ImageImporter().inspect(path, configuration, root: layout.staging + "/jail").get()
    }

    public func importImage(
        _ request: ImageImport, progress: @escaping @Sendable (Double) -> Void
    ) async throws(Fault) -> ImageCopy {
        if let expected = request.expected, let there = try image(expected, request.kind) {
            progress(1)
            return there
        }
        guard importsRunning < configuration.importsMax else {
            throw Fault(.unavailable, "\(importsRunning) imports are running; try again when one is done", kind: .pool)
        }
        importsRunning += 1
        importsBegun += 1
        defer { importsRunning -= 1 }
        let cancellation = Cancellation()
        let work = ImportWork(
            request: request, configuration: configuration, layout: layout, name: "import-\(importsBegun)",
            cancellation: cancellation, progress: progress)
        let importer = ImageImporter()
        let staged = await withTaskCancellationHandler {
            await importer.run(work)
        } onCancel: {
            cancellation.cancel()
        }
        return try place(try staged.get())
    }

    /// Gives a staged image its name. The same content may have got there first.
    private func place(_ staged: StagedImage) throws(Fault) -> ImageCopy {
        if let there = try image(staged.copy.digest, staged.copy.kind) {
            try HostFolder.remove(staged.path)
            return there
        }
        configuration.passing(.imageStaged)
        try HostFolder.move(staged.path, to: layout.image(staged.copy.digest, staged.copy.kind))
        try AtomicFile.syncFolder(of: layout.image(staged.copy.digest, staged.copy.kind))
        configuration.passing(.imagePlaced)
        return staged.copy
    }

    public func verify(_ image: ImageCopy) async throws(Fault) {
        let digest = try await ImageImporter().digest(try path(of: image.digest, kind: image.kind)).get()
        guard digest == image.digest else {
            throw Fault(.storage, "the pool's copy of image \(image.digest) has changed", kind: .imageCopy)
        }
    }

    public func removeImage(_ digest: ImageDigest, kind: ImageKind) throws(Fault) {
        let uses = kind == .disk && disks.values.contains { $0.source == .image(digest) }
        guard !uses else { throw PoolRefusals.imageInUse(digest) }
        try HostFolder.remove(layout.image(digest, kind))
        try AtomicFile.syncFolder(of: layout.image(digest, kind))
    }

    // MARK: Disks

    public func create(_ disk: DiskSpecification) throws(Fault) {
        try PoolRefusals.checkSize(of: disk)
        let path = layout.disk(disk.id, disk.source.format)
        let isThere = try HostFolder.status(path) != nil
        if let there = disks[disk.id] {
            guard there == disk else { throw PoolRefusals.otherDisk(disk.id) }
            guard isThere else {
                throw Fault(.wrongState, "disk \(disk.id.hex) was here and its file is gone; it is not made anew", kind: .volume)
            }
            return
        }
        guard !isThere else {
            throw Fault(.wrongState, "\(path) is there and Karri has no record of it", kind: .volume)
        }
        if case .image(let digest) = disk.source { try PoolRefusals.check(disk, liesOn: try image(digest, .disk)?.virtualSize) }
        guard try configuration.space(layout.folder).free > configuration.reserve else {
            throw Fault(.noCapacity, "the pool has no space for another disk", kind: .pool)
        }
        let made = layout.made(disk.id, disk.source.format)
        do throws(Fault) {
            try make(disk, at: made)
            configuration.passing(.diskMade)
            try record(disk)
        } catch {
            unlink(made)
            throw error
        }
        configuration.passing(.diskRecorded)
        try place(disk.id, disk.source.format)
        configuration.passing(.diskPlaced)
    }

    private func make(_ disk: DiskSpecification, at path: String) throws(Fault) {
        try HostFolder.remove(path)
        let file = try HostFile(path, O_RDWR | O_CREAT | O_EXCL)
        switch disk.source {
        case .empty: try file.truncate(to: disk.size.bytes)
        case .image(let digest):
            try file.write(try QCOW2Overlay.header(size: disk.size, backing: layout.image(digest, .disk)), at: 0)
            try file.truncate(to: QCOW2Overlay.fileSize)
        }
        try file.sync()
        try AtomicFile.syncFolder(of: path)
    }

    private func record(_ disk: DiskSpecification) throws(Fault) {
        let bytes: Data
        do { bytes = try JSONEncoder().encode(Record(disk: disk)) } catch {
            throw Fault(.internalError, "a disk's record cannot be written", because: error)
        }
        try AtomicFile.write(Array(bytes), to: layout.record(disk.id))
        disks[disk.id] = disk
    }

    private func place(_ id: ID<Volume>, _ format: DiskLayer.Format) throws(Fault) {
        try HostFolder.move(layout.made(id, format), to: layout.disk(id, format))
        try AtomicFile.syncFolder(of: layout.disk(id, format))
    }

    public func grow(_ disk: ID<Volume>, to size: ByteCount, writer: DiskWriter) throws(Fault) {
        guard var grown = disks[disk] else { throw PoolRefusals.noDisk(disk) }
        guard size > grown.size else { return }
        grown.size = size
        try PoolRefusals.checkSize(of: grown)
        if writer == .none {
            // The file first: a crash then leaves a record that is behind, and the repeated call mends it.
            let file = try HostFile(layout.disk(disk, grown.source.format), O_WRONLY)
            switch grown.source {
            case .empty: if Int64(try file.status().st_size) < size.bytes { try file.truncate(to: size.bytes) }
            case .image: try file.write(QCOW2Overlay.number(size.bytes, 8), at: QCOW2Overlay.sizeOffset)
            }
            try file.sync()
            configuration.passing(.diskGrown)
        }
        try record(grown)
    }

    public func give(_ disk: ID<Volume>, to user: UInt32) throws(Fault) {
        guard let there = disks[disk] else { throw PoolRefusals.noDisk(disk) }
        let path = layout.disk(disk, there.source.format)
        guard lchown(path, user, user) == 0 else {
            throw Fault(.storage, "could not give \(path) to user \(user): \(systemError())", kind: .volume)
        }
    }

    public func remove(_ disk: ID<Volume>) throws(Fault) {
        guard let there = disks[disk] else { return }
        let format = there.source.format
        let removed = layout.removed(disk, format)
        if try HostFolder.move(layout.disk(disk, format), to: removed) {
            // Before the record goes: a disk without one would be a stranger's after a power cut.
            try AtomicFile.syncFolder(of: removed)
            try AtomicFile.syncFolder(of: layout.disk(disk, format))
        }
        configuration.passing(.removalBegun)
        try forget(disk)
        configuration.passing(.recordRemoved)
        try HostFolder.remove(removed)
    }

    private func forget(_ disk: ID<Volume>) throws(Fault) {
        try HostFolder.remove(layout.record(disk))
        try AtomicFile.syncFolder(of: layout.record(disk))
        disks[disk] = nil
    }
}

/// The steps of a pool's changes, in order.
public enum PoolStep: String, Sendable, Hashable, CaseIterable {
    case imageCopied, imageConverted, imageStaged, imagePlaced
    case diskMade, diskRecorded, diskPlaced
    case diskGrown
    case removalBegun, recordRemoved
}
