//  Cyclic redundancy checks as S3 and storage formats use them: bits reflected, all ones before and
//  after. Eight tables take eight bytes a step (Kounavis and Berry, "A Systematic Approach to Building
//  High Performance Software-Based CRC Generators"); where the processor multiplies without carries, 64.

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

    /// What the folding of bytes multiplies by (`karri_crc64`).
    ///
    /// - Parameter polynomial: Reflected: the lowest bit stands for the highest power.
    private static func powers(reflected polynomial: Word) -> [UInt64] {
        [575, 511, 191, 127].map { exponent in
            let highest: Word = 1 << Word(Word.bitWidth - 1)
            let power = (0..<exponent).reduce(highest) { power, _ in power & 1 == 1 ? power >> 1 ^ polynomial : power >> 1 }
            return UInt64(power) << UInt64(UInt64.bitWidth - Word.bitWidth)
        }
    }

    /// - Parameter loop: Takes bytes into a check by tables and, where given, powers.
    private init(
        _ polynomial: Word, _ folds: Bool,
        _ loop: @escaping @Sendable ([Word], [UInt64]?, _ check: Word, UnsafeRawBufferPointer) -> Word
    ) {
        let tables = Self.tables(reflected: polynomial)
        let powers = folds ? Self.powers(reflected: polynomial) : nil
        self.polynomial = polynomial
        take = { loop(tables, powers, $0, $1) }
    }
}

extension CyclicChecksum where Word == UInt32 {
    /// ISO 3309, as in zlib.
    public static let crc32 = CyclicChecksum(reflected: 0xedb8_8320)
    /// Castagnoli's (RFC 3720, section 12.1).
    public static let crc32c = CyclicChecksum(reflected: 0x82f6_3b78)

    /// - Parameter folds: Whether bytes are folded by multiplication, which the processor must be able to do.
    init(reflected polynomial: UInt32, folds: Bool = karri_has_carryless_multiplication() != 0) {
        self.init(polynomial, folds) { karri_crc32($0, $1, $2, $3.baseAddress, $3.count) }
    }
}

extension CyclicChecksum where Word == UInt64 {
    /// NVM Express's (NVM Command Set Specification, "64b CRC").
    public static let crc64NVME = CyclicChecksum(reflected: 0x9a6c_9329_ac4b_c9b5)

    /// - Parameter folds: Whether bytes are folded by multiplication, which the processor must be able to do.
    init(reflected polynomial: UInt64, folds: Bool = karri_has_carryless_multiplication() != 0) {
        self.init(polynomial, folds) { karri_crc64($0, $1, $2, $3.baseAddress, $3.count) }
    }
}
