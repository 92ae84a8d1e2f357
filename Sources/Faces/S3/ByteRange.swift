//  Which bytes a reader, or a copy, wants of an object.

/// One range of a Range header (RFC 9110, section 14.1.2); several are answered with the whole, as S3 does.
enum ByteRange: Sendable, Hashable {
    case from(Int64, through: Int64?)
    case last(Int64)

    /// Nil for what is to be ignored.
    init?(_ text: String) {
        guard text.hasPrefix("bytes="), !text.contains(",") else { return nil }
        let parts = text.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }) else { return nil }
        // Nothing is as long as what no number here can tell.
        let numbers = parts.map { $0.isEmpty ? nil : Int64($0) ?? .max }
        switch (numbers[0], numbers[1]) {
        case (let first?, let last?) where last >= first: self = .from(first, through: last)
        case (let first?, nil) where parts[1].isEmpty: self = .from(first, through: nil)
        case (nil, let count?) where parts[0].isEmpty: self = .last(count)
        default: return nil
        }
    }

    /// As the header has it.
    var text: String {
        switch self {
        case .from(let first, let last): "bytes=\(first)-\(last.map(String.init) ?? "")"
        case .last(let count): "bytes=-\(count)"
        }
    }

    /// The part of so many bytes; nil where there is none of it.
    func within(_ size: Int64) -> Range<Int64>? {
        switch self {
        case .from(let first, let last):
            guard first < size else { return nil }
            return first..<min(size - 1, last ?? size - 1) + 1
        case .last(let count):
            guard count > 0, size > 0 else { return nil }
            return max(0, size - count)..<size
        }
    }
}
