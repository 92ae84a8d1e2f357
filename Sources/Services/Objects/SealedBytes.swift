//  How encrypted bodies lie at rest: 16 random bytes, then packages of 64 KiB, each with AES-256-GCM's
//  tag (NIST SP 800-38D) behind it. Each body has a key of its own, made of the object's key and those
//  random bytes (HKDF, RFC 5869), so that a package's number is nonce enough; and any package can be
//  read without those before it.

import Crypto
import FoundationEssentials
import Model
import NIOCore
import ObjectStorage
import Synchronization

enum SealedBytes {
    static let saltBytes = 16
    static let packageBytes = 64 << 10
    static let tagBytes = 16

    /// How long a body is at rest.
    static func sealedLength(of plain: Int64) -> Int64 {
        Int64(saltBytes) + plain + (plain + Int64(packageBytes) - 1) / Int64(packageBytes) * Int64(tagBytes)
    }

    /// How long a body is that is so long at rest.
    static func plainLength(of sealed: Int64) -> Int64 {
        let packages = max(0, sealed - Int64(saltBytes))
        let whole = Int64(packageBytes + tagBytes)
        return packages - (packages + whole - 1) / whole * Int64(tagBytes)
    }

    /// The packages that a part of a body touches, as bytes at rest.
    static func sealedRange(of plain: Range<Int64>, in length: Int64) -> Range<Int64> {
        let whole = Int64(packageBytes + tagBytes)
        let first = plain.lowerBound / Int64(packageBytes)
        let last = (plain.upperBound - 1) / Int64(packageBytes)
        return Int64(saltBytes) + first * whole..<min(Int64(saltBytes) + (last + 1) * whole, sealedLength(of: length))
    }

    fileprivate static func key(_ objectKey: SymmetricKey, _ salt: some Sequence<UInt8>) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: objectKey, salt: Data(salt), info: Data("karri object body".utf8), outputByteCount: 32)
    }

    fileprivate static func nonce(_ package: Int64) throws -> AES.GCM.Nonce {
        try AES.GCM.Nonce(data: UInt64(package).bigEndianBytes + [0, 0, 0, 0])
    }
}

/// Seals a body as it comes.
struct BodySealer {
    private let key: SymmetricKey
    private var package: Int64 = 0
    private var waiting: ByteBuffer
    private var salt: [UInt8]?

    init(_ objectKey: SymmetricKey, salt: [UInt8]) {
        key = SealedBytes.key(objectKey, salt)
        self.salt = salt
        waiting = ByteBuffer()
    }

    /// Takes what has come.
    ///
    /// - Returns: What of it is to be stored now.
    mutating func take(_ bytes: ByteBuffer) throws(Fault) -> ByteBuffer {
        waiting.writeImmutableBuffer(bytes)
        return try seal(whileAtLeast: SealedBytes.packageBytes)
    }

    /// The last of it.
    mutating func finish() throws(Fault) -> ByteBuffer { try seal(whileAtLeast: 1) }

    private mutating func seal(whileAtLeast least: Int) throws(Fault) -> ByteBuffer {
        var out = ByteBuffer(bytes: salt ?? [])
        salt = nil
        while waiting.readableBytes >= least,
            let plain = waiting.readSlice(length: min(waiting.readableBytes, SealedBytes.packageBytes))
        {
            do {
                let box = try plain.withUnsafeReadableBytes { bytes in
                    try AES.GCM.seal(bytes.bindMemory(to: UInt8.self), using: key, nonce: SealedBytes.nonce(package))
                }
                out.writeBytes(box.ciphertext)
                out.writeBytes(box.tag)
            } catch { throw Fault(.internalError, "A body could not be encrypted.", because: error) }
            package += 1
        }
        waiting.discardReadBytes()
        return out
    }
}

/// Opens a stretch of a sealed body as it is read.
final class BodyOpener: Sendable {
    private struct State {
        var waiting = ByteBuffer()
        var package: Int64
        /// How much of the opened bytes does not belong to the stretch.
        var skip: Int
        var left: Int64
        var hasEnded = false
    }

    private let key: SymmetricKey
    private let source: BodySource.Iterator
    private let state: Mutex<State>

    /// - Parameters:
    ///   - source: The packages that the stretch touches.
    ///   - range: Of the plain bytes; not empty.
    init(_ objectKey: SymmetricKey, salt: [UInt8], source: BodySource, range: Range<Int64>) {
        key = SealedBytes.key(objectKey, salt)
        self.source = source.makeAsyncIterator()
        let package = range.lowerBound / Int64(SealedBytes.packageBytes)
        state = Mutex(
            State(
                package: package, skip: Int(range.lowerBound - package * Int64(SealedBytes.packageBytes)),
                left: range.upperBound - range.lowerBound))
    }

    func next() async throws(Fault) -> ByteBuffer? {
        while true {
            if let opened = try open() { return opened }
            if state.withLock({ $0.left == 0 }) { return nil }
            let read = try await source.next()
            try state.withLock { state throws(Fault) in
                if let read { state.waiting.writeImmutableBuffer(read) } else if state.hasEnded { throw damaged }
                state.hasEnded = read == nil
            }
        }
    }

    /// The next package, if all of it is there.
    private func open() throws(Fault) -> ByteBuffer? {
        try state.withLock { state throws(Fault) in
            let whole = SealedBytes.packageBytes + SealedBytes.tagBytes
            let length = min(whole, state.waiting.readableBytes)
            guard state.left > 0, length == whole || state.hasEnded && length > SealedBytes.tagBytes,
                let sealed = state.waiting.readSlice(length: length)
            else { return nil }
            state.waiting.discardReadBytes()
            do {
                let nonce = try SealedBytes.nonce(state.package)
                let plain = try sealed.withUnsafeReadableBytes { bytes in
                    let bytes = bytes.bindMemory(to: UInt8.self)
                    let box = try AES.GCM.SealedBox(
                        nonce: nonce, ciphertext: bytes.dropLast(SealedBytes.tagBytes), tag: bytes.suffix(SealedBytes.tagBytes))
                    return try AES.GCM.open(box, using: key)
                }
                state.package += 1
                let part = plain.dropFirst(state.skip).prefix(Int(clamping: state.left))
                state.skip = 0
                state.left -= Int64(part.count)
                return ByteBuffer(bytes: part)
            } catch { throw damaged }
        }
    }

    private var damaged: Fault { Fault(.bodyIsDamaged, "A stored body cannot be decrypted.", kind: .object) }
}
