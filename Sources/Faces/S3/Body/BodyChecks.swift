//  What a client says of the bytes that it sends, and whether it is so: Content-MD5, the payload's
//  SHA-256, and the checksums of "Checking object integrity" (Amazon S3 User Guide).

import Checksums
import Crypto
import FoundationEssentials
import Hummingbird
import Model
import NIOCore
import Objects

extension ChecksumAlgorithm {
    /// - Parameter name: As a client writes it, such as `CRC32C`.
    init(asked name: String) throws(S3Error) {
        guard let known = ChecksumAlgorithm(rawValue: name.lowercased()) else {
            throw S3Error.invalidRequest(
                "Checksum algorithm provided is unsupported. Please try again with any of the valid types.")
        }
        self = known
    }

    /// As documents name it.
    var element: StaticString {
        switch self {
        case .crc32: "ChecksumCRC32"
        case .crc32c: "ChecksumCRC32C"
        case .crc64nvme: "ChecksumCRC64NVME"
        case .sha1: "ChecksumSHA1"
        case .sha256: "ChecksumSHA256"
        }
    }
}

/// The checks of one body.
struct BodyChecks {
    private var checksum: (algorithm: ChecksumAlgorithm, running: RunningChecksum)?
    /// In Base64; nil: it comes in the trailer, or the client leaves it to the store.
    private var stated: String?
    private let isInTrailer: Bool
    private var md5: (stated: [UInt8], running: Insecure.MD5)?
    private var payload: (stated: String, running: SHA256)?

    /// - Parameters:
    ///   - header: A header's value by its name in lower case.
    ///   - payloadHash: The SHA-256 that the request's signature covers, in hex.
    init(_ header: (String) -> String?, payloadHash: String?) throws(S3Error) {
        let named = ChecksumAlgorithm.allCases.filter { header($0.header) != nil }
        guard named.count <= 1 else {
            throw S3Error.invalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
        }
        let trailer = header("x-amz-trailer").flatMap { text in ChecksumAlgorithm.allCases.first { $0.header == text.lowercased() }
        }
        if header("x-amz-trailer") != nil, trailer == nil {
            throw S3Error.invalidRequest("The value specified in the x-amz-trailer header is not supported")
        }
        if let asked = header("x-amz-sdk-checksum-algorithm"), let algorithm = named.first ?? trailer,
            asked.lowercased() != algorithm.rawValue
        {
            throw S3Error.invalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")
        }
        isInTrailer = trailer != nil
        if let algorithm = named.first ?? trailer {
            stated = named.first.flatMap { header($0.header) }
            if let stated, Data(base64Encoded: stated)?.count != RunningChecksum(algorithm).bytes.count {
                throw S3Error.invalidRequest("Value for \(algorithm.header) header is invalid.")
            }
            checksum = (algorithm, RunningChecksum(algorithm))
        }
        if let text = header("content-md5") {
            guard let bytes = Data(base64Encoded: text).map(Array.init), bytes.count == 16 else {
                throw S3Error(.invalidDigest, "The Content-MD5 you specified was invalid.")
            }
            md5 = (bytes, Insecure.MD5())
        }
        if let payloadHash { payload = (payloadHash, SHA256()) }
    }

    private static let checksumPrefix = "x-amz-checksum-"
    private static let knownHeaders = Set(
        ChecksumAlgorithm.allCases.map(\.header) + ["algorithm", "mode", "type"].map { checksumPrefix + $0 })

    /// Refuses a checksum that would be kept by nobody and compared with nothing.
    ///
    /// - Parameter names: Of headers, in lower case.
    static func refuseUnknown(_ names: some Sequence<String>) throws(S3Error) {
        for name in names where name.hasPrefix(checksumPrefix) && !knownHeaders.contains(name) { throw .notImplemented(name) }
    }

    /// Makes a checksum that the client has not given.
    mutating func make(_ algorithm: ChecksumAlgorithm) {
        if checksum == nil { checksum = (algorithm, RunningChecksum(algorithm)) }
    }

    mutating func take(_ piece: ByteBuffer) {
        piece.withUnsafeReadableBytes { bytes in
            checksum?.running.take(bytes)
            md5?.running.update(bufferPointer: bytes)
            payload?.running.update(bufferPointer: bytes)
        }
    }

    /// Compares what came with what was said.
    ///
    /// - Returns: The header of the checksum that is to be kept with the object.
    func finish(_ trailers: [(name: String, value: String)]) throws(S3Error) -> (name: String, value: String)? {
        if let payload, hexDigits(Array(payload.running.finalize())) != payload.stated { throw S3Error(.payloadMismatch) }
        if let md5, Array(md5.running.finalize()) != md5.stated {
            throw S3Error(.badDigest, "The Content-MD5 you specified did not match what we received.")
        }
        guard let checksum else { return nil }
        let header = checksum.algorithm.header
        let found = Data(checksum.running.bytes).base64EncodedString()
        let expected = stated ?? trailers.first { $0.name == header }?.value
        guard let expected else {
            if isInTrailer {
                throw S3Error(
                    .malformedTrailerError,
                    "The request contained trailing data that was not well-formed or did not conform to our published schema.")
            }
            return (header, found)
        }
        guard expected == found else {
            let name = checksum.algorithm.rawValue.uppercased()
            throw S3Error(.badDigest, "The \(name) you specified did not match the calculated checksum.")
        }
        return (header, found)
    }
}

extension Request {
    /// Whether the client says what its body's digest is.
    var statesDigest: Bool {
        header("content-md5") != nil || header("x-amz-trailer") != nil
            || ChecksumAlgorithm.allCases.contains { header($0.header) != nil }
    }
}
