//  Frames on the Unix socket between node and edge: eight bytes (length of the JSON, number of
//  descriptors; network order), then the JSON. Descriptors ride on the eight bytes, which are always
//  read by a call of their own, so that none is lost or taken for another frame's.

import CLinux
import FoundationEssentials
import Glibc
import Model
import Platform

/// One end of the connection. It blocks: use it on a blocking executor only.
final class EdgeWire: Sendable {
    let socket: CInt
    /// The longest frame, in bytes: a domain of some thousand guests with full user data.
    static let frameLimit = 64 << 20
    /// The most descriptors with one frame (the kernel takes 253).
    static let descriptorLimit = 200

    /// Takes the socket over; it is closed with this object.
    init(socket: CInt) { self.socket = socket }

    deinit { close(socket) }

    /// Ends the connection now, from any thread: a call that waits returns at once.
    func end() { shutdown(socket, CInt(SHUT_RDWR)) }

    /// How long one send or receive may wait; nil for ever.
    func limitWaits(sendSeconds: Int?, receiveSeconds: Int?) {
        for (option, seconds) in [(SO_SNDTIMEO, sendSeconds), (SO_RCVTIMEO, receiveSeconds)] {
            var limit = timeval(tv_sec: seconds ?? 0, tv_usec: 0)
            setsockopt(socket, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
    }

    func send(_ message: some Encodable, descriptors: [CInt] = []) throws(Fault) {
        let body: [UInt8]
        do { body = Array(try JSONEncoder().encode(message)) } catch {
            throw Fault(.internalError, "a message for edge could not be written", because: error)
        }
        guard body.count <= EdgeWire.frameLimit, descriptors.count <= EdgeWire.descriptorLimit else {
            throw Fault(.tooLarge, "a message for edge is too large: \(body.count) bytes, \(descriptors.count) descriptors")
        }
        var header = bigEndianBytes(UInt32(body.count)) + bigEndianBytes(UInt32(descriptors.count))
        let sent = karri_send_descriptors(socket, header, header.count, descriptors, descriptors.count)
        guard sent > 0 else { throw failure("write to") }
        header.removeFirst(sent)
        try sendAll(header + body)
    }

    /// The next message with its descriptors, which the caller owns.
    ///
    /// - Returns: Nil when the other end has closed between two frames.
    func receive<Message: Decodable>(_: Message.Type) throws(Fault) -> (message: Message, descriptors: [CInt])? {
        var descriptors: [CInt] = []
        do throws(Fault) {
            guard let header = try receiveHeader(&descriptors) else { return nil }
            let length = Int(bigEndian(header[0..<4]))
            let count = Int(bigEndian(header[4..<8]))
            guard length <= EdgeWire.frameLimit, count == descriptors.count else {
                throw Fault(.internalError, "the connection of node and edge is out of step")
            }
            let body = try receiveBody(length)
            do { return (try JSONDecoder().decode(Message.self, from: Data(body)), descriptors) } catch {
                // The decoder's own words may quote a secret.
                throw Fault(.internalError, "a message between node and edge could not be read", cause: "\(type(of: error))")
            }
        } catch {
            for descriptor in descriptors { close(descriptor) }
            throw error
        }
    }

    private func receiveHeader(_ descriptors: inout [CInt]) throws(Fault) -> [UInt8]? {
        var header: [UInt8] = []
        while header.count < 8 {
            var part = [UInt8](repeating: 0, count: 8 - header.count)
            var found = [CInt](repeating: -1, count: EdgeWire.descriptorLimit)
            var foundCount = found.count
            let got = karri_receive_descriptors(socket, &part, part.count, &found, &foundCount)
            guard got >= 0 else { throw failure("read from") }
            descriptors += found.prefix(foundCount)
            if got == 0 {
                guard header.isEmpty else { throw Fault(.unavailable, "the connection of node and edge broke off") }
                return nil
            }
            header += part.prefix(got)
        }
        return header
    }

    private func receiveBody(_ length: Int) throws(Fault) -> [UInt8] {
        var body = [UInt8](repeating: 0, count: length)
        var filled = 0
        while filled < length {
            let got = body[filled...].withUnsafeMutableBytes { read(socket, $0.baseAddress, $0.count) }
            if got < 0, errno == EINTR { continue }
            guard got > 0 else { throw failure("read from") }
            filled += got
        }
        return body
    }

    private func sendAll(_ bytes: [UInt8]) throws(Fault) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { Glibc.send(socket, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("write to") }
            sent += count
        }
    }

    private func failure(_ verb: String) -> Fault {
        Fault(.unavailable, "could not \(verb) the other of node and edge", cause: systemError())
    }
}

/// Four bytes in network order.
func bigEndianBytes(_ number: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: number >> UInt32(24 - 8 * $0)) } }

/// The number that bytes in network order spell; the first is the most significant.
func bigEndian(_ bytes: some Sequence<UInt8>) -> UInt32 { bytes.reduce(0) { $0 << 8 | UInt32($1) } }
