//  Cyclic redundancy checks as S3 and storage formats use them: bits reflected, all ones before and
//  after. Eight tables take eight bytes a step (Kounavis and Berry, "A Systematic Approach to Building
//  High Performance Software-Based CRC Generators"); where the processor knows the polynomial, it does it.

import CChecksums

/// A kind of check: its width and its polynomial.
public struct CyclicChecksum<Word: FixedWidthInteger & UnsignedInteger & Sendable>: Sendable {
    /// Takes bytes into a check that stands between the inversions before and after.
    private let take: @Sendable (_ check: Word, _ bytes: UnsafeRawBufferPointer) -> Word
    /// Reflected: the lowest bit stands for the highest power.
    private let polynomial: Word

    /// The check of no bytes, and what a check over several pieces begins with.
    public static var empty: Word { 0 }

    /// The check of what `check` is the check of, followed by `bytes`.
    public func extended(_ check: Word, by bytes: UnsafeRawBufferPointer) -> Word { ~take(~check, bytes) }

    public func check(of bytes: some Sequence<UInt8>) -> Word {
        if let check = bytes.withContiguousStorageIfAvailable({ extended(Self.empty, by: UnsafeRawBufferPointer($0)) }) {
            return check
        }
        return Array(bytes).withUnsafeBytes { extended(Self.empty, by: $0) }
    }

    /// The check of two pieces, one after the other, from the checks of each.
    ///
    /// - Parameter secondBytes: How long the second is.
    public func joined(_ first: Word, _ second: Word, secondBytes: Int64) -> Word {
        // A check of zeros is a multiplication: the first one moves up by as many bits as follow it.
        var power = onePower(8)
        var moved = first
        var left = secondBytes
        while left > 0 {
            if left & 1 == 1 { moved = multiplied(moved, power) }
            power = multiplied(power, power)
            left >>= 1
        }
        return moved ^ second
    }

    /// x to a power below the width; the highest bit is the power zero.
    private func onePower(_ power: Int) -> Word { 1 << Word(Word.bitWidth - 1 - power) }

    /// The product of two polynomials, modulo the kind's own.
    private func multiplied(_ left: Word, _ right: Word) -> Word {
        var product: Word = 0
        var factor = right
        for power in 0..<Word.bitWidth {
            if left & onePower(power) != 0 { product ^= factor }
            factor = factor & 1 == 1 ? factor >> 1 ^ polynomial : factor >> 1
        }
        return product
    }

    /// Eight tables of 256, one after the other.
    ///
    /// - Parameter polynomial: Reflected: the lowest bit stands for the highest power.
    private static func tables(reflected polynomial: Word) -> [Word] {
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
        return tables
    }
}

extension CyclicChecksum where Word == UInt32 {
    /// ISO 3309, as in zlib.
    public static let crc32 = sliced(0xedb8_8320)
    /// Castagnoli's (RFC 3720, section 12.1).
    public static let crc32c =
        karri_has_crc32c_instruction() != 0
        ? CyclicChecksum(take: { karri_crc32c_instruction($0, $1.baseAddress, $1.count) }, polynomial: castagnoli)
        : crc32cByTables
    static let crc32cByTables = sliced(castagnoli)
    private static let castagnoli: UInt32 = 0x82f6_3b78

    private static func sliced(_ polynomial: UInt32) -> CyclicChecksum {
        let tables = tables(reflected: polynomial)
        return CyclicChecksum(take: { karri_crc32_sliced(tables, $0, $1.baseAddress, $1.count) }, polynomial: polynomial)
    }
}

extension CyclicChecksum where Word == UInt64 {
    /// NVM Express's (NVM Command Set Specification, "64b CRC").
    public static let crc64NVME: CyclicChecksum = {
        let polynomial: UInt64 = 0x9a6c_9329_ac4b_c9b5
        guard karri_has_carryless_multiplication() != 0 else { return crc64NVMEByTables }
        let tables = tables(reflected: polynomial)
        let (far, near) = (power(191, polynomial), power(127, polynomial))
        return CyclicChecksum(
            take: { karri_crc64_folded(tables, far, near, $0, $1.baseAddress, $1.count) }, polynomial: polynomial)
    }()

    static let crc64NVMEByTables: CyclicChecksum = {
        let polynomial: UInt64 = 0x9a6c_9329_ac4b_c9b5
        let tables = tables(reflected: polynomial)
        return CyclicChecksum(take: { karri_crc64_sliced(tables, $0, $1.baseAddress, $1.count) }, polynomial: polynomial)
    }()

    /// x to a power, modulo a polynomial.
    private static func power(_ exponent: Int, _ polynomial: UInt64) -> UInt64 {
        (0..<exponent).reduce(1 << 63) { power, _ in power & 1 == 1 ? power >> 1 ^ polynomial : power >> 1 }
    }
}
