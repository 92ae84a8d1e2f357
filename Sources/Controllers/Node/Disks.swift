//  Image copies and disks of the host's own pool.

import Disks
import Fabric
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

extension NodeController {
    /// A copy of an image: imported from an upload, or known to be there, or dropped.
    func lookAtImage(_ key: String) async throws(Fault) -> Duration? {
        guard let entry = try await state.image(key), let purpose = Image.Purpose(rawValue: entry.purpose) else {
            reporter.forget(Section.images, key)
            return nil
        }
        let kind = ImageKind(purpose)
        let upload = "\(configuration.uploads)/\(key)"
        if entry.absent { return try await dropImage(entry, kind, key, upload) }
        guard let digest = ImageDigest(hex: entry.digest) else { return await takeUpload(entry, kind, key, upload) }
        unlink(upload)
        do throws(Fault) {
            // Pools without files have no masters to fetch from either: every copy is there.
            if !configuration.isDurable {
                _ = try await disks.importImage(ImageImport(path: upload, kind: kind, expected: digest)) { _ in }
            }
            _ = try await disks.path(of: digest, kind: kind)
            report(Section.images, key, entry.epoch, "ready") { $0.digest = entry.digest }
        } catch  where error.code == .notFound {
            report(Section.images, key, entry.epoch, "failed") { $0.fault = "this pool has no copy of the image" }
        }
        return nil
    }

    private func dropImage(_ entry: ImageEntry, _ kind: ImageKind, _ key: String, _ upload: String) async throws(Fault) -> Duration?
    {
        unlink(upload)
        if let digest = ImageDigest(hex: entry.digest) { try await disks.removeImage(digest, kind: kind) }
        report(Section.images, key, entry.epoch, "absent")
        return nil
    }

    private func takeUpload(_ entry: ImageEntry, _ kind: ImageKind, _ key: String, _ upload: String) async -> Duration? {
        guard access(upload, F_OK) == 0 || !configuration.isDurable else {
            report(Section.images, key, entry.epoch, "working")
            return .milliseconds(300)
        }
        report(Section.images, key, entry.epoch, "working")
        do throws(Fault) {
            let copy = try await disks.importImage(ImageImport(path: upload, kind: kind)) { _ in }
            report(Section.images, key, entry.epoch, "ready") {
                $0.digest = copy.digest.hex
                $0.size = copy.virtualSize.bytes
            }
        } catch {
            // A process that is being ended refuses nothing: the next one takes the file.
            if error.code == .cancelled { return nil }
            log.warning("an upload was refused", metadata: ["image": "\(key)", "fault": "\(error)"])
            unlink(upload)
            report(Section.images, key, entry.epoch, "failed") { $0.fault = error.message }
        }
        return nil
    }

    /// A disk: made once, given to its machine's user when that starts, removed when it should go.
    func lookAtDisk(_ key: String) async throws(Fault) -> Duration? {
        try await turns.pass("disk \(key)") { () async throws(Fault) in try await matchDisk(key) }
    }

    private func matchDisk(_ key: String) async throws(Fault) -> Duration? {
        guard let entry = try await state.disk(key) else {
            reporter.forget(Section.disks, key)
            return nil
        }
        do throws(Fault) {
            if entry.absent {
                try await disks.remove(ID(bits: entry.volume))
                report(Section.disks, key, entry.epoch, "absent")
            } else {
                try await make(entry, key)
            }
        } catch {
            // A disk that is still open is removed later; one that cannot be made is told.
            if entry.absent { throw error }
            report(Section.disks, key, entry.epoch, "failed") { $0.fault = error.message }
            log.error("a disk could not be made", metadata: ["volume": "\(key)", "fault": "\(error)"])
        }
        return nil
    }

    /// Makes a disk for a machine that is to start with it.
    ///
    /// - Throws: What the pool refuses it with, or `unavailable` where the document has no such disk now.
    func provideDisk(_ key: String) async throws(Fault) {
        try await turns.pass("disk \(key)") { () async throws(Fault) in
            guard let entry = try await state.disk(key), !entry.absent else {
                throw Fault(.unavailable, "the document does not have the machine's disk", kind: .volume)
            }
            try await make(entry, key)
        }
    }

    private func make(_ entry: DiskEntry, _ key: String) async throws(Fault) {
        let source: DiskSource
        if entry.image.isEmpty {
            source = .empty
        } else if let digest = ImageDigest(hex: entry.image) {
            source = .image(digest)
        } else {
            throw Fault(.internalError, "the disk's image has no digest")
        }
        try await disks.create(DiskSpecification(id: ID(bits: entry.volume), size: ByteCount(entry.size), source: source))
        report(Section.disks, key, entry.epoch, "ready") { $0.size = entry.size }
    }

    func report(_ section: String, _ key: String, _ epoch: UInt64, _ word: String, _ more: (inout Report) -> Void = { _ in }) {
        var report = Report()
        report.section = section
        report.key = key
        report.entryEpoch = epoch
        report.state = word
        more(&report)
        reporter.report(report)
    }
}
