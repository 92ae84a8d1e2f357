//  Large bodies, each in a file of its own, checked by stretches of a fixed length.

import CLinux
import Model
import NIOCore
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// The files of a shard's bodies.
struct BodyFiles: Sendable {
    let folder: String
    let blocks = WriteBlocks()

    init(folder: String) throws(Fault) {
        self.folder = folder
        // Made once, so that a new file's folder is never itself new.
        for number in 0..<256 { try Folder.make("\(folder)/\(hexDigits([UInt8(number)]))") }
        // Those folders, and the one that they are in.
        for path in [folder + "/.", folder] { try AtomicFile.syncFolder(of: path) }
    }

    func path(_ id: UInt64) -> String { "\(folder)/\(hexDigits([UInt8(truncatingIfNeeded: id)]))/\(hexDigits(id))" }

    func read(_ id: UInt64, _ checksums: [UInt32], _ range: Range<Int64>) async throws(Fault) -> BodySource {
        let path = path(id)
        let found = try await BlockingPool.run { () throws(Fault) -> (OpenFile, Int64)? in
            guard let file = try OpenFile(reading: path) else { return nil }
            return (file, try file.length())
        }
        guard let (file, length) = found else { throw ObjectFaults.bodyIsGone }
        return StretchReader(file, start: 0, size: length, checksums, range).source
    }

    /// Removes files, which stay away after a power cut too; one that is gone is no fault.
    func remove(_ ids: [UInt64]) async throws(Fault) {
        let paths = ids.map(path)
        // One of each folder.
        let folders = Dictionary(ids.map { (UInt8(truncatingIfNeeded: $0), path($0)) }) { first, _ in first }.values
        try await BlockingPool.run { () throws(Fault) in
            for path in paths { try OpenFile.remove(path) }
            for path in folders { try AtomicFile.syncFolder(of: path) }
        }
    }
}
