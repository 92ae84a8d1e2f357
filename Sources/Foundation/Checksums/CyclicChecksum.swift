//  Cyclic redundancy checks as S3 and storage formats use them: bits reflected, all ones before and
//  after. Eight tables take eight bytes a step (Kounavis and Berry, "A Systematic Approach to Building
//  High Performance Software-Based CRC Generators").

/// A kind of check: its width and its polynomial.
public struct CyclicChecksum<Word: FixedWidthInteger & UnsignedInteger & Sendable>: Sendable {
    /// Eight tables of 256, one after the other.
    private let tables: [Word]

    /// - Parameter polynomial: Reflected: the lowest bit stands for the highest power.
    init(reflected polynomial: Word) {
        var tables = [Word](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var word = Word(byte)
            for _ in 0..<8 { word = word & 1 == 1 ? word >> 1 ^ polynomial : word >> 1 }
            tables[byte] = word
        }
        for place in 256..<8 * 256 {
            let before = tables[place - 256]
            tables[place] = before >> 8 ^ tables[Int(before & 0xff)]
        }
        self.tables = tables
    }

    /// The check of no bytes, and what a check over several pieces begins with.
    public static var empty: Word { 0 }

    /// The check of what `check` is the check of, followed by `bytes`.
    public func extended(_ check: Word, by bytes: UnsafeRawBufferPointer) -> Word {
        var word = ~check
        var place = 0
        tables.withUnsafeBufferPointer { tables in
            while place + 8 <= bytes.count {
                let eight = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)) ^ UInt64(word)
                var next: Word = 0
                for step in 0..<8 { next ^= tables[(7 - step) * 256 + Int(eight >> UInt64(8 * step) & 0xff)] }
                // A word that is wider than the step keeps what the step has not used up; none is.
                word = next
                place += 8
            }
            while place < bytes.count {
                word = word >> 8 ^ tables[Int((word ^ Word(bytes[place])) & 0xff)]
                place += 1
            }
        }
        return ~word
    }

    public func check(of bytes: some Sequence<UInt8>) -> Word {
        if let check = bytes.withContiguousStorageIfAvailable({ extended(Self.empty, by: UnsafeRawBufferPointer($0)) }) {
            return check
        }
        return Array(bytes).withUnsafeBytes { extended(Self.empty, by: $0) }
    }
}

extension CyclicChecksum where Word == UInt32 {
    /// ISO 3309, as in zlib.
    public static let crc32 = CyclicChecksum(reflected: 0xedb8_8320)
    /// Castagnoli's (RFC 3720, section 12.1).
    public static let crc32c = CyclicChecksum(reflected: 0x82f6_3b78)
}

extension CyclicChecksum where Word == UInt64 {
    /// NVM Express's (NVM Command Set Specification, "64b CRC").
    public static let crc64NVME = CyclicChecksum(reflected: 0x9a6c_9329_ac4b_c9b5)
}
