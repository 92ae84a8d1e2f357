//  The checksums that S3 keeps with objects ("Checking object integrity", Amazon S3 User Guide).

import Checksums
import Crypto

/// A checksum that S3 keeps with an object.
public enum ChecksumAlgorithm: String, Sendable, Hashable, CaseIterable {
    case crc32, crc32c, crc64nvme, sha1, sha256

    /// What is made where a client gives none.
    static let standard = ChecksumAlgorithm.crc64nvme

    public var header: String {
        switch self {
        case .crc32: "x-amz-checksum-crc32"
        case .crc32c: "x-amz-checksum-crc32c"
        case .crc64nvme: "x-amz-checksum-crc64nvme"
        case .sha1: "x-amz-checksum-sha1"
        case .sha256: "x-amz-checksum-sha256"
        }
    }

    public init?(header: String) {
        guard let found = ChecksumAlgorithm.allCases.first(where: { $0.header == header }) else { return nil }
        self = found
    }

    /// Whether the checksums of two pieces make that of both.
    var joins: Bool { self == .crc32 || self == .crc32c || self == .crc64nvme }
}

/// A checksum that is being made.
public enum RunningChecksum: Sendable {
    case crc32(UInt32), crc32c(UInt32), crc64nvme(UInt64), sha1(Insecure.SHA1), sha256(SHA256)

    public init(_ algorithm: ChecksumAlgorithm) {
        switch algorithm {
        case .crc32: self = .crc32(0)
        case .crc32c: self = .crc32c(0)
        case .crc64nvme: self = .crc64nvme(0)
        case .sha1: self = .sha1(Insecure.SHA1())
        case .sha256: self = .sha256(SHA256())
        }
    }

    public mutating func take(_ bytes: UnsafeRawBufferPointer) {
        switch self {
        case .crc32(let check): self = .crc32(CyclicChecksum.crc32.extended(check, by: bytes))
        case .crc32c(let check): self = .crc32c(CyclicChecksum.crc32c.extended(check, by: bytes))
        case .crc64nvme(let check): self = .crc64nvme(CyclicChecksum.crc64NVME.extended(check, by: bytes))
        case .sha1(var hash):
            hash.update(bufferPointer: bytes)
            self = .sha1(hash)
        case .sha256(var hash):
            hash.update(bufferPointer: bytes)
            self = .sha256(hash)
        }
    }

    public var bytes: [UInt8] {
        switch self {
        case .crc32(let check), .crc32c(let check): check.bigEndianBytes
        case .crc64nvme(let check): check.bigEndianBytes
        case .sha1(let hash): Array(hash.finalize())
        case .sha256(let hash): Array(hash.finalize())
        }
    }
}

extension ChecksumAlgorithm {
    /// The checksum of bytes that are at hand.
    func check(of bytes: [UInt8]) -> [UInt8] {
        switch self {
        case .crc32: CyclicChecksum.crc32.check(of: bytes).bigEndianBytes
        case .crc32c: CyclicChecksum.crc32c.check(of: bytes).bigEndianBytes
        case .crc64nvme: CyclicChecksum.crc64NVME.check(of: bytes).bigEndianBytes
        case .sha1: Array(Insecure.SHA1.hash(data: bytes))
        case .sha256: Array(SHA256.hash(data: bytes))
        }
    }
}

extension FixedWidthInteger {
    /// The most significant byte first.
    public var bigEndianBytes: [UInt8] {
        (0..<Self.bitWidth / 8).reversed().map { UInt8(truncatingIfNeeded: self >> Self($0 * 8)) }
    }
}
