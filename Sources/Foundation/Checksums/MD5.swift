//  MD5 (RFC 1321), which S3's entity tags are. Digests can be made side by side, several in little more than
//  the time of one: one alone leaves most of a processor unused, as each of its steps waits for the one before.

import CChecksums

/// A digest that is being made.
public struct MD5: Sendable {
    fileprivate static let blockBytes = 64

    fileprivate var words: SIMD4<UInt32> = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476]
    /// How much was given. It may overflow, as the algorithm has it.
    fileprivate var bytesGiven: UInt64 = 0
    /// What has come of a block that is not yet full.
    fileprivate var begun: [UInt8] = []

    public init() {}

    public mutating func take(_ bytes: UnsafeRawBufferPointer) {
        var lane = MD5Lane(self)
        lane.take(bytes)
        if !lane.isDone { lane.advance() }
        self = lane.digest
    }

    /// The digest's 16 bytes.
    public consuming func finish() -> [UInt8] {
        let bits = bytesGiven &* 8
        let zeros = (2 * MD5.blockBytes - 1 - 8 - begun.count) % MD5.blockBytes
        let end = [0x80] + [UInt8](repeating: 0, count: zeros) + (0..<8).map { UInt8(truncatingIfNeeded: bits >> ($0 * 8)) }
        end.withUnsafeBytes { take($0) }
        return (0..<16).map { UInt8(truncatingIfNeeded: words[$0 / 4] >> UInt32($0 % 4 * 8)) }
    }
}

/// A digest on its way through some bytes, which stay where they are until it is done.
public struct MD5Lane {
    /// How many can go side by side.
    public static let countMax = Int(KARRI_MD5_LANES)
    /// The most that each takes at once, in blocks: others may join afterwards.
    private static let blocksMax = 1024

    public private(set) var digest: MD5
    /// What it has not taken yet: at least a block, or nothing.
    private var left: UnsafeRawBufferPointer

    public init(_ digest: MD5) {
        self.digest = digest
        left = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    /// Sets out to take some bytes, once it is done with those before.
    public mutating func take(_ bytes: UnsafeRawBufferPointer) {
        digest.bytesGiven &+= UInt64(bytes.count)
        left = bytes
        takeEdges()
    }

    /// Whether it has taken all of its bytes.
    public var isDone: Bool { left.isEmpty }

    private static let widest = karri_md5_widest()

    /// Has lanes that are not done, no more than `countMax`, take the next bytes, each as many as the others.
    public static func advance(_ lanes: inout [MD5Lane]) { advance(&lanes, by: widest) }

    /// - Parameter instructions: As `karri_md5_lanes` numbers them.
    static func advance(_ lanes: inout [MD5Lane], by instructions: Int32) {
        if lanes.count == 1 { return lanes[0].advance(blocksMax) }
        let blocks = lanes.reduce(blocksMax) { min($0, $1.blocksLeft) }
        take(blocks, into: &lanes, by: instructions)
        for index in lanes.indices { lanes[index].pass(blocks) }
    }

    private var blocksLeft: Int { left.count / MD5.blockBytes }

    /// Takes the next blocks alone: all that are left, or so many. It is not done before.
    fileprivate mutating func advance(_ most: Int = .max) {
        let blocks = min(blocksLeft, most)
        digest.take(blocks, at: left.baseAddress)
        pass(blocks)
    }

    /// Goes on behind blocks that the digest has taken.
    private mutating func pass(_ blocks: Int) {
        left = UnsafeRawBufferPointer(rebasing: left.dropFirst(blocks * MD5.blockBytes))
        takeEdges()
    }

    /// Takes whole blocks into all digests side by side; those that are too few for it are followed by the first again.
    private static func take(_ blocks: Int, into lanes: inout [MD5Lane], by instructions: Int32) {
        let places = (0..<countMax).map { lanes.indices.contains($0) ? $0 : 0 }
        var states = (0..<4).flatMap { word in places.map { lanes[$0].digest.words[word] } }
        karri_md5_lanes(instructions, &states, places.map { lanes[$0].left.baseAddress }, blocks)
        for index in lanes.indices { for word in 0..<4 { lanes[index].digest.words[word] = states[word * countMax + index] } }
    }

    /// Fills the block that was begun, and begins one with what is too short for a whole one.
    private mutating func takeEdges() {
        if !digest.begun.isEmpty { begin(MD5.blockBytes - digest.begun.count) }
        if digest.begun.isEmpty, left.count < MD5.blockBytes { begin(left.count) }
    }

    private mutating func begin(_ most: Int) {
        digest.begin(left.prefix(most))
        left = UnsafeRawBufferPointer(rebasing: left.dropFirst(most))
    }
}

extension MD5 {
    /// Takes whole blocks; none is begun.
    fileprivate mutating func take(_ blocks: Int, at place: UnsafeRawPointer?) {
        withUnsafeMutableBytes(of: &words) { karri_md5($0.assumingMemoryBound(to: UInt32.self).baseAddress, place, blocks) }
    }

    /// Adds to the block that was begun, and takes it where that fills it.
    fileprivate mutating func begin(_ bytes: Slice<UnsafeRawBufferPointer>) {
        begun.append(contentsOf: bytes)
        guard begun.count == MD5.blockBytes else { return }
        let block = begun
        begun.removeAll(keepingCapacity: true)
        block.withUnsafeBytes { take(1, at: $0.baseAddress) }
    }
}
