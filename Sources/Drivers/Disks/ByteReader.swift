//  Bounds-checked numbers out of bytes from outside. A read beyond the end is nil, never a trap.

/// The first bytes of a file.
struct ByteReader: Sendable {
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func slice(_ offset: Int, _ count: Int) -> ArraySlice<UInt8>? {
        guard offset >= 0, count >= 0, offset <= bytes.count, count <= bytes.count - offset else { return nil }
        return bytes[offset..<(offset + count)]
    }

    func bigEndian32(_ offset: Int) -> UInt32? { slice(offset, 4)?.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } }

    func bigEndian64(_ offset: Int) -> UInt64? { slice(offset, 8)?.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }

    func littleEndian16(_ offset: Int) -> UInt16? { slice(offset, 2)?.reversed().reduce(UInt16(0)) { $0 << 8 | UInt16($1) } }

    func littleEndian32(_ offset: Int) -> UInt32? { slice(offset, 4)?.reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) } }

    func littleEndian64(_ offset: Int) -> UInt64? { slice(offset, 8)?.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }

    func has(_ text: String, at offset: Int = 0) -> Bool { has(Array(text.utf8), at: offset) }

    func has(_ expected: [UInt8], at offset: Int = 0) -> Bool {
        slice(offset, expected.count).map { $0.elementsEqual(expected) } ?? false
    }
}
