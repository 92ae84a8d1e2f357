//  Recognises an image file by its first and last bytes. Pure and our own: qemu would probe by
//  trying drivers that follow the names in a header to other files. What would name another file,
//  or lie about its size, is refused here with the reason, before any converter sees it.

import Model

/// What a file is, by its bytes.
public struct ImageHeader: Sendable, Hashable, Codable {
    public var format: ImageFormat
    /// A disk's size as a guest would see it; a kernel's or a ramdisk's length.
    public var virtualSize: ByteCount

    public init(format: ImageFormat, virtualSize: ByteCount) {
        self.format = format
        self.virtualSize = virtualSize
    }

    /// Whether the file may become such an image.
    ///
    /// - Throws: `badImage`.
    public func check(suits kind: ImageKind) throws(Fault) {
        guard format.kinds.contains(kind) else {
            throw Fault(.badImage, "the file is \(format.words), not a \(kind.words)", kind: .image)
        }
    }
}

/// The formats that an import takes. A compressed ramdisk stays as it is: the kernel unpacks it.
public enum ImageFormat: String, Sendable, Hashable, Codable, CaseIterable {
    case raw, qcow2, vmdk
    case bzImage, elf
    case cpio, gzip, xz, zstd, lz4

    var kinds: Set<ImageKind> {
        switch self {
        case .raw, .qcow2, .vmdk: [.disk]
        case .bzImage, .elf: [.kernel]
        case .cpio, .gzip, .xz, .zstd, .lz4: [.ramdisk]
        }
    }

    /// "a qcow2 disk image".
    var words: String {
        switch self {
        case .raw: "a raw disk image"
        case .qcow2: "a qcow2 disk image"
        case .vmdk: "a VMDK disk image"
        case .bzImage: "a Linux kernel (bzImage)"
        case .elf: "a program or kernel (ELF)"
        case .cpio: "a cpio archive"
        case .gzip: "a gzip file (unpack a disk image with gunzip first)"
        case .xz: "an xz file (unpack a disk image with unxz first)"
        case .zstd: "a zstd file (unpack a disk image with unzstd first)"
        case .lz4: "an lz4 file (unpack a disk image with unlz4 first)"
        }
    }
}

extension ImageKind {
    public init(_ purpose: Image.Purpose) {
        switch purpose {
        case .machine: self = .disk
        case .kernel: self = .kernel
        case .ramdisk: self = .ramdisk
        }
    }

    var words: String {
        switch self {
        case .disk: "disk image"
        case .kernel: "kernel"
        case .ramdisk: "ramdisk"
        }
    }
}

extension ImageHeader {
    /// How much of a file's beginning the reader wants: every known magic, and a header with its
    /// extensions, lies within.
    public static let headSize = 64 << 10
    /// How much of a file's end: a VHD's footer.
    public static let tailSize = 512
    /// The largest disk that an image may hold.
    public static let virtualSizeMax = ByteCount.gibibytes(2 << 10)

    /// Reads a header.
    ///
    /// - Parameters:
    ///   - head: The file's first `headSize` bytes, or all of them.
    ///   - tail: Its last `tailSize` bytes, or all of them.
    ///   - fileSize: Its length.
    /// - Throws: `badImage` with the reason and, where there is one, what to do.
    public static func read(
        head: [UInt8], tail: [UInt8], fileSize: ByteCount, virtualSizeMax: ByteCount = virtualSizeMax
    ) throws(Fault) -> ImageHeader {
        guard fileSize.bytes > 0, !head.isEmpty else { throw refusal("the file is empty") }
        let reader = ByteReader(head)
        if let foreign = foreignFormat(reader, ByteReader(tail)) { throw foreign }
        let header: ImageHeader
        if reader.has(QCOW2Header.magic) {
            header = ImageHeader(format: .qcow2, virtualSize: try QCOW2Header(reader, fileSize: fileSize).virtualSize)
        } else if reader.has(VMDKHeader.magic) {
            header = ImageHeader(format: .vmdk, virtualSize: try VMDKHeader(reader, fileSize: fileSize).virtualSize)
        } else if let format = bootFormat(reader) {
            return ImageHeader(format: format, virtualSize: fileSize)
        } else {
            guard fileSize.bytes % 512 == 0 else {
                throw refusal("the file is of no known format, and its length is not a whole number of 512-byte sectors")
            }
            header = ImageHeader(format: .raw, virtualSize: fileSize)
        }
        guard header.virtualSize <= virtualSizeMax else {
            throw refusal("its disk of \(header.virtualSize) is larger than the \(virtualSizeMax) that an image may have")
        }
        return header
    }

    static func refusal(_ reason: String) -> Fault { Fault(.badImage, "the image is refused: \(reason)", kind: .image) }

    /// Kernels and ramdisks. Linux's boot protocol puts `HdrS` at 0x202 (Documentation/arch/x86/boot.rst).
    private static func bootFormat(_ reader: ByteReader) -> ImageFormat? {
        if reader.has("HdrS", at: 0x202) { return .bzImage }
        let magics: [([UInt8], ImageFormat)] = [
            ([0x7f, 0x45, 0x4c, 0x46], .elf),
            (Array("070701".utf8), .cpio), (Array("070702".utf8), .cpio),
            ([0x1f, 0x8b], .gzip),
            ([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], .xz),
            ([0x28, 0xb5, 0x2f, 0xfd], .zstd),
            ([0x02, 0x21, 0x4c, 0x18], .lz4), ([0x04, 0x22, 0x4d, 0x18], .lz4),
        ]
        return magics.first { reader.has($0.0) }?.1
    }

    /// Formats that are known by name and not taken.
    private static func foreignFormat(_ head: ByteReader, _ tail: ByteReader) -> Fault? {
        let convert = "convert it with qemu-img convert -O qcow2 first"
        let text = String(decoding: head.bytes.prefix(512), as: UTF8.self).lowercased()
        if head.has("# Disk DescriptorFile") {
            return refusal("a VMDK descriptor names other files as its extents; export it as one stream-optimized file")
        }
        if head.has([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 1]) { return refusal("qcow version 1 is not taken; \(convert)") }
        if head.has("QED\0") { return refusal("QED is not taken; \(convert)") }
        if head.has("COWD") { return refusal("an old VMDK (COWD) is not taken; \(convert)") }
        if head.has("vhdxfile") { return refusal("VHDX is not taken; \(convert)") }
        if head.has("conectix") || tail.has("conectix") || tail.has("conectix", at: tail.bytes.count - 511) {
            return refusal("VHD is not taken; \(convert)")
        }
        if head.has([0x7f, 0x10, 0xda, 0xbe], at: 0x40) { return refusal("VDI is not taken; \(convert)") }
        if head.has("LUKS") { return refusal("an encrypted (LUKS) disk cannot boot here; decrypt it first") }
        if head.has("WithoutFreeSpace") || head.has("WithouFreSpacExt") {
            return refusal("a Parallels disk is not taken; \(convert)")
        }
        if head.has("koly") || tail.has("koly") { return refusal("an Apple disk image is not taken; \(convert)") }
        if head.has("CD001", at: 0x8001) {
            return refusal("an ISO image is not a disk to boot machines from; install from it elsewhere")
        }
        if head.has("PK\u{3}\u{4}") { return refusal("it is a zip file; unpack it first") }
        if head.has("BZh") { return refusal("it is a bzip2 file; unpack it with bunzip2 first") }
        if head.has([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]) { return refusal("it is a 7z file; unpack it first") }
        if head.has("Rar!") { return refusal("it is a rar file; unpack it first") }
        if head.has("ustar", at: 257) { return refusal("it is a tar archive (an OVA?); unpack it first") }
        if text.hasPrefix("<!doctype") || text.hasPrefix("<html") || text.hasPrefix("<?xml") {
            return refusal("it is a web page or XML document, not an image; was the download's link right?")
        }
        return nil
    }
}
