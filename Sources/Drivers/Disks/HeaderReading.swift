//  Where an image's header is read: in a confined child that sees nothing but the open file, or, in
//  tests and simulations, in this process.

import FoundationEssentials
import Glibc
import Model
import Platform

/// How a pool reads the headers of files from outside.
public enum HeaderReading: Sendable, Hashable {
    case inProcess
    /// Runs `program arguments…` confined, with the file as its standard input; it calls
    /// `HeaderAnswer.answer()`. Besides /usr the program sees only `libraries`, further folders of the
    /// host that it needs: as /library-0, /library-1 and so on.
    case child(program: String, arguments: [String], libraries: [String])
}

/// What the child that reads a header says on its standard output, as JSON.
public struct HeaderAnswer: Sendable, Hashable, Codable {
    public var header: ImageHeader?
    public var refusal: String?

    /// The whole of the child's program: reads the header of standard input and prints the answer.
    ///
    /// - Returns: The process's exit code.
    public static func answer() -> Int32 {
        var answer = HeaderAnswer()
        do throws(Fault) { answer.header = try ImageHeader.read(descriptor: STDIN_FILENO) } catch { answer.refusal = error.message }
        guard let bytes = try? JSONEncoder().encode(answer) else { return 1 }
        return bytes.withUnsafeBytes { write(STDOUT_FILENO, $0.baseAddress, $0.count) } == bytes.count ? 0 : 1
    }
}

extension ImageHeader {
    /// Reads the header of an open file, of which at most `headSize` and `tailSize` bytes are read.
    static func read(descriptor: Int32) throws(Fault) -> ImageHeader {
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.isRegular else { throw Fault(.storage, "the image is not a regular file") }
        let size = Int64(status.st_size)
        func bytes(_ offset: Int64, _ count: Int) throws(Fault) -> [UInt8] {
            var buffer = [UInt8](repeating: 0, count: count)
            var filled = 0
            while filled < count {
                let got = buffer[filled...].withUnsafeMutableBytes {
                    pread(descriptor, $0.baseAddress, $0.count, off_t(offset) + off_t(filled))
                }
                if got < 0, errno == EINTR { continue }
                guard got >= 0 else { throw Fault(.storage, "the image could not be read: \(systemError())") }
                if got == 0 { break }
                filled += got
            }
            return Array(buffer.prefix(filled))
        }
        let head = try bytes(0, Int(min(size, Int64(headSize))))
        let tail = try bytes(max(0, size - Int64(tailSize)), Int(min(size, Int64(tailSize))))
        return try read(head: head, tail: tail, fileSize: ByteCount(size))
    }
}

extension HeaderReading {
    func header(of descriptor: Int32, user: UInt32, root: String) throws(Fault) -> ImageHeader {
        guard case .child(let program, let arguments, let libraries) = self else {
            return try ImageHeader.read(descriptor: descriptor)
        }
        let child = ConfinedChild(
            user: user, root: root,
            shown: [.init(path: program, inside: "/program")]
                + libraries.enumerated().map { .init(path: $1, inside: "/library-\($0)") },
            limits: .init(processorSeconds: 5, wall: .seconds(10)))
        let outcome = try child.run(["/program"] + arguments, input: descriptor)
        guard outcome.status == 0,
            let answer = try? JSONDecoder().decode(HeaderAnswer.self, from: Data(outcome.output.utf8))
        else {
            throw Fault(
                .badImage, "the image is refused: its header could not be read", kind: .image,
                cause: "status \(outcome.status): \(outcome.error.suffix(500))")
        }
        guard let header = answer.header else {
            throw Fault(.badImage, answer.refusal ?? "the image is refused", kind: .image)
        }
        return header
    }
}
