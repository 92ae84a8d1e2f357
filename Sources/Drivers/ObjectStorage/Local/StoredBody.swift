//  Where bodies lie, as the rows of details, parts and pieces say it.

import Database
import Model

/// A body in a row: its kind, its number and its checksums are three columns.
struct StoredBody: Sendable, Hashable {
    /// What a body is. The numbers stand in rows.
    enum Kind: Int64 {
        /// A delete marker has none.
        case marker
        /// A row of its own.
        case inline
        case file
        /// Parts, each with a body.
        case pieces
        case segment
    }

    var kind: Kind
    /// Of the inline body, the file, the body in a segment, or the detail whose pieces it is.
    var number: Int64
    /// Four bytes each, of stretches of a file.
    var checksums: [UInt8] = []

    static let marker = StoredBody(kind: .marker, number: 0)

    /// Nil for a delete marker.
    var reference: BodyReference? {
        switch kind {
        case .marker: nil
        case .inline: .inline(id: UInt64(number), bytes: nil)
        case .file: .file(id: UInt64(number), checksums: StretchChecksums.checksums(checksums))
        case .segment: .segment(id: UInt64(number), nil)
        case .pieces: .pieces(of: UInt64(number))
        }
    }
}

extension StoredBody {
    /// - Parameter withChecksums: Whether their column follows.
    init(_ row: inout Row, withChecksums: Bool = false) throws(Fault) {
        self.init(
            kind: try row.take(), number: try row.take(), checksums: withChecksums ? try row.takeBlob() : [])
    }
}

extension StoredBody.Kind: Column {
    static var type: ValueType { .integer }
    var value: Value { .integer(rawValue) }

    static func take(_ row: inout Row) throws(Fault) -> StoredBody.Kind {
        let number = try row.takeInteger()
        guard let kind = StoredBody.Kind(rawValue: number) else {
            throw Fault(.storage, "A row speaks of a body of the unknown kind \(number).", kind: .object)
        }
        return kind
    }
}
