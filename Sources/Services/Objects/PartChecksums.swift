//  Checksums of objects that came in parts: one of the parts' checksums, or one of all the bytes, which
//  cyclic checks can be joined to (Amazon S3 User Guide, "Checking object integrity for data uploads").

import Checksums
import FoundationEssentials
import Model
import ObjectStorage

/// What an object of parts has a checksum of.
public enum ChecksumType: String, Sendable, Hashable {
    case composite = "COMPOSITE"
    case fullObject = "FULL_OBJECT"

    /// What S3 takes where a client does not say.
    public init(defaultFor algorithm: ChecksumAlgorithm) { self = algorithm == .crc64nvme ? .fullObject : .composite }

    /// Whether an algorithm can make it.
    public func isPossible(with algorithm: ChecksumAlgorithm) -> Bool {
        self == .fullObject ? algorithm.joins : algorithm != .crc64nvme
    }
}

/// The checksum of an object of parts.
enum PartChecksums {
    /// - Parameter parts: The checksum of each in Base64, and its length.
    /// - Returns: In Base64, with the number of parts where it is of their checksums; nil where one is none.
    static func made(
        of parts: [(checksum: String, size: Int64)], _ algorithm: ChecksumAlgorithm, _ type: ChecksumType
    ) -> String? {
        var raw: [(bytes: [UInt8], size: Int64)] = []
        for part in parts {
            guard let bytes = Data(base64Encoded: part.checksum) else { return nil }
            raw.append((Array(bytes), part.size))
        }
        switch type {
        case .composite:
            let sum = algorithm.check(of: raw.flatMap(\.bytes))
            return "\(Data(sum).base64EncodedString())-\(parts.count)"
        case .fullObject:
            switch algorithm {
            case .crc32: return joined(raw, CyclicChecksum<UInt32>.crc32)
            case .crc32c: return joined(raw, CyclicChecksum<UInt32>.crc32c)
            case .crc64nvme: return joined(raw, CyclicChecksum<UInt64>.crc64NVME)
            case .sha1, .sha256: return nil
            }
        }
    }

    private static func joined<Word>(_ parts: [(bytes: [UInt8], size: Int64)], _ kind: CyclicChecksum<Word>) -> String {
        let sum = parts.reduce(CyclicChecksum<Word>.empty) { sum, part in
            kind.joined(sum, part.bytes.reduce(0) { $0 << 8 | Word($1) }, secondBytes: part.size)
        }
        return Data(sum.bigEndianBytes).base64EncodedString()
    }
}
