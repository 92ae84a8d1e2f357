//  The framing `multipart/form-data` (RFC 7578; RFC 2046, section 5.1) as POST Object uses it: fields,
//  then one file, then what is ignored. A state machine that is fed bytes and returns the file's; it does
//  no I/O.

import Glibc
import NIOCore

/// A field of a form.
struct FormField: Sendable, Hashable {
    /// As sent.
    var name: String
    var value: String
}

/// Takes a form apart.
struct FormDecoder {
    private enum State {
        case preamble
        /// Behind a delimiter, before its line ends.
        case delimiterEnd
        case head
        case value(name: String)
        case file
        case epilogue
    }

    /// All that precedes the file's content is no longer than this.
    static let fieldBytesMax = 20_480

    private var state = State.preamble
    private let delimiter: [UInt8]
    /// The end of what has come, where it may be the beginning of a delimiter. The first delimiter needs
    /// no line before it.
    private var held = ByteBuffer(string: "\r\n")
    private var line: [UInt8] = []
    private var disposition: HeaderParameters?
    private var value: [UInt8] = []
    /// Without the line's end that is put before the first delimiter.
    private var fieldBytes = -2

    /// In the order in which they came.
    private(set) var fields: [FormField] = []
    /// Whether the part named `file` has begun.
    private(set) var hasFile = false
    /// What the file is called, where the form says it.
    private(set) var fileName: String?

    /// - Parameter contentType: The request's header.
    /// - Throws: `PreconditionFailed` where that is not a form's.
    init(contentType: String?) throws(S3Error) {
        guard let type = contentType.flatMap(HeaderParameters.init), type.value == "multipart/form-data" else { throw .notAForm }
        guard let boundary = type["boundary"], (1...70).contains(boundary.utf8.count) else { throw .malformedForm }
        delimiter = Array("\r\n--\(boundary)".utf8)
    }

    /// Takes what has come; returns what of it is the file's.
    mutating func take(_ bytes: ByteBuffer) throws(S3Error) -> [ByteBuffer] {
        var rest = bytes
        if held.readableBytes > 0 {
            held.writeBuffer(&rest)
            rest = held
            held = ByteBuffer()
        }
        var found: [ByteBuffer] = []
        while rest.readableBytes > 0 {
            switch state {
            case .delimiterEnd, .head:
                guard let byte = rest.readInteger(as: UInt8.self) else { return found }
                try take(byte)
            case .preamble, .value, .file:
                let content = takeContent(&rest)
                if case .file = state {
                    if content.bytes.readableBytes > 0 { found.append(content.bytes) }
                } else {
                    try count(content.bytes.readableBytes)
                    if case .value = state { value += content.bytes.readableBytesView }
                }
                if content.isWhole { try endContent() }
            case .epilogue: return found
            }
        }
        return found
    }

    /// To be called when no more bytes come.
    func finish() throws(S3Error) {
        guard case .epilogue = state else { throw .malformedForm }
    }

    // MARK: Content

    /// Takes what comes before the next delimiter, and that delimiter.
    private mutating func takeContent(_ rest: inout ByteBuffer) -> (bytes: ByteBuffer, isWhole: Bool) {
        let place = rest.withUnsafeReadableBytes { delimiterPlace(in: $0) }
        guard let place, let content = rest.readSlice(length: place) else {
            defer { rest = ByteBuffer() }
            return (rest, false)
        }
        guard rest.readableBytes >= delimiter.count else {
            held = rest
            rest = ByteBuffer()
            return (content, false)
        }
        rest.moveReaderIndex(forwardBy: delimiter.count)
        return (content, true)
    }

    /// Where a delimiter stands, or at the end what may become one.
    private func delimiterPlace(in bytes: UnsafeRawBufferPointer) -> Int? {
        guard let base = bytes.baseAddress else { return nil }
        var from = 0
        while from < bytes.count, let next = memchr(base + from, Int32(UInt8(ascii: "\r")), bytes.count - from) {
            let place = base.distance(to: UnsafeRawPointer(next))
            let length = min(delimiter.count, bytes.count - place)
            if bytes[place..<place + length].elementsEqual(delimiter[..<length]) { return place }
            from = place + 1
        }
        return nil
    }

    private mutating func endContent() throws(S3Error) {
        switch state {
        case .file: state = .epilogue
        case .value(let name):
            guard let text = String(validating: value, as: UTF8.self) else { throw .malformedForm }
            fields.append(FormField(name: name, value: text))
            value = []
            fallthrough
        default:
            try count(delimiter.count)
            state = .delimiterEnd
        }
    }

    // MARK: Lines

    private mutating func take(_ byte: UInt8) throws(S3Error) {
        try count(1)
        line.append(byte)
        if case .delimiterEnd = state, line == Array("--".utf8) {
            state = .epilogue
            return
        }
        guard byte == UInt8(ascii: "\n") else { return }
        guard line.suffix(2) == Array("\r\n".utf8)[...], let text = String(validating: line.dropLast(2), as: UTF8.self) else {
            throw .malformedForm
        }
        line = []
        if case .delimiterEnd = state {
            guard text.utf8.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) else { throw .malformedForm }
            state = .head
        } else if text.isEmpty {
            try beginContent()
        } else {
            try takeHeader(text)
        }
    }

    private mutating func takeHeader(_ text: String) throws(S3Error) {
        guard let colon = text.firstIndex(of: ":") else { throw .malformedForm }
        guard text[..<colon].lowercased() == "content-disposition" else { return }
        guard disposition == nil, let found = HeaderParameters(String(text[text.index(after: colon)...])) else {
            throw .malformedForm
        }
        disposition = found
    }

    private mutating func beginContent() throws(S3Error) {
        guard let disposition, disposition.value == "form-data", let name = disposition["name"] else { throw .malformedForm }
        self.disposition = nil
        guard name.lowercased() == "file" else {
            state = .value(name: name)
            return
        }
        hasFile = true
        fileName = disposition["filename"]
        state = .file
    }

    private mutating func count(_ bytes: Int) throws(S3Error) {
        fieldBytes += bytes
        guard fieldBytes <= FormDecoder.fieldBytesMax else { throw .fieldsTooLong }
    }
}

extension S3Error {
    static let notAForm = S3Error(.preconditionFailed, "At least one of the pre-conditions you specified did not hold")
    static let malformedForm = S3Error(
        .malformedPOSTRequest, "The body of your POST request is not well-formed multipart/form-data.")
    static let fieldsTooLong = S3Error(
        .maxPostPreDataLengthExceeded, "Your POST request fields preceding the upload file were too large.")
}
