//  Copies and digests whole files of which most may be holes: holes are not read, and blocks of
//  zeros become holes.

import Crypto
import Glibc
import Model

enum ContentStream {
    /// What is read or written at once.
    static let pieceSize = 1 << 20
    private static let blockSize = 4096

    /// Called after each piece with the fraction that is done; what it throws ends the work.
    typealias Step = (Double) throws(Fault) -> Void

    /// Copies `size` bytes. Where the file system can share blocks, nothing is copied.
    static func copy(
        _ source: borrowing HostFile, to target: borrowing HostFile, size: Int64, step: Step
    ) throws(Fault) {
        // FICLONE of ioctl_ficlone(2).
        if ioctl(target.descriptor, 0x4004_9409, source.descriptor) == 0 { return }
        try walk(source, size: size) { (offset, piece, _) throws(Fault) in
            if let piece { try target.write(piece, at: offset) }
            try step(fraction(offset, size))
        }
        try target.truncate(to: size)
    }

    static func copyAndDigest(
        _ source: borrowing HostFile, to target: borrowing HostFile, size: Int64, step: Step
    ) throws(Fault) -> ImageDigest {
        var hash = SHA256()
        let zeros = [UInt8](repeating: 0, count: pieceSize)
        try walk(source, size: size) { (offset, piece, count) throws(Fault) in
            hash.update(data: piece ?? zeros[..<count])
            if let piece { try writeSparsely(piece, to: target, at: offset) }
            try step(fraction(offset, size))
        }
        try target.truncate(to: size)
        return try digest(hash)
    }

    static func digest(of file: borrowing HostFile, step: Step) throws(Fault) -> ImageDigest {
        var hash = SHA256()
        let size = Int64(try file.status().st_size)
        let zeros = [UInt8](repeating: 0, count: pieceSize)
        try walk(file, size: size) { (offset, piece, count) throws(Fault) in
            hash.update(data: piece ?? zeros[..<count])
            try step(fraction(offset, size))
        }
        return try digest(hash)
    }

    /// Visits the first `size` bytes in order, in pieces of at most `pieceSize`; nil is a piece of a hole.
    ///
    /// - Throws: `storage` if the file ends before.
    private static func walk(
        _ file: borrowing HostFile, size: Int64, visit: (Int64, ArraySlice<UInt8>?, Int) throws(Fault) -> Void
    ) throws(Fault) {
        var buffer = [UInt8](repeating: 0, count: pieceSize)
        var offset: Int64 = 0
        while offset < size {
            let data = try file.nextData(from: offset, fileSize: size) ?? size..<size
            while offset < data.lowerBound {
                let count = Int(min(Int64(pieceSize), data.lowerBound - offset))
                try visit(offset, nil, count)
                offset += Int64(count)
            }
            while offset < data.upperBound {
                let wanted = Int(min(Int64(pieceSize), data.upperBound - offset))
                let filled = try file.read(at: offset, into: &buffer)
                guard filled >= wanted else { throw Fault(.storage, "\(file.path) became shorter while it was read") }
                try visit(offset, buffer[..<wanted], wanted)
                offset += Int64(wanted)
            }
        }
    }

    /// Writes the blocks that are not all zeros; neighbours in one call.
    private static func writeSparsely(_ piece: ArraySlice<UInt8>, to target: borrowing HostFile, at offset: Int64) throws(Fault) {
        var run: Range<Int>?
        func flush() throws(Fault) {
            if let run { try target.write(piece[run], at: offset + Int64(run.lowerBound - piece.startIndex)) }
        }
        for start in stride(from: piece.startIndex, to: piece.endIndex, by: blockSize) {
            let block = start..<min(start + blockSize, piece.endIndex)
            if isZero(piece[block]) {
                try flush()
                run = nil
            } else {
                run = (run?.lowerBound ?? block.lowerBound)..<block.upperBound
            }
        }
        try flush()
    }

    private static func isZero(_ block: ArraySlice<UInt8>) -> Bool {
        // A block equals itself shifted by one exactly when all of its bytes are the same.
        block.withUnsafeBytes { bytes in
            guard let first = bytes.first, let base = bytes.baseAddress else { return true }
            return first == 0 && memcmp(base, base + 1, bytes.count - 1) == 0
        }
    }

    private static func fraction(_ offset: Int64, _ size: Int64) -> Double { Double(offset) / Double(max(1, size)) }

    private static func digest(_ hash: SHA256) throws(Fault) -> ImageDigest {
        guard let digest = ImageDigest(hex: hexDigits(hash.finalize())) else {
            throw Fault(.internalError, "a SHA-256 is 64 hex digits")
        }
        return digest
    }
}
