//  Pages: MaxResults and NextToken over lists that are read in order. A token holds the place after
//  which the next page begins, bound to the account, the action and its filters.

import AWSProtocol
import Crypto
import FoundationEssentials
import Model

/// How much of a list one answer holds, and from where.
struct Paging: Sendable {
    /// The most rows of an answer to a call that names no number.
    static let answerMax = 10_000
    /// The most rows that one call tests; a filter that few rows pass gets a short page and a token.
    static let testedMax = 20_000
    private static let chunk = 1000

    /// The place after which the page begins; nil at the start.
    let cursor: String?
    private let limit: Int
    private let binding: [UInt8]

    /// - Parameters:
    ///   - range: What MaxResults may be.
    ///   - hasIds: Whether the call names what it wants, which goes with no page.
    ///   - idsName: What EC2 calls the list of ids.
    /// - Throws: `.pageToken`, `.invalidParameter` or `.conflictingParameters`.
    init(
        max: Int?, token: String?, in range: ClosedRange<Int> = 5...1000, hasIds: Bool = false, idsName: String = "ids",
        _ context: EC2Call
    ) throws(Fault) {
        if hasIds, max != nil {
            throw Fault(.conflictingParameters, "The parameter \(idsName) cannot be used with the parameter maxResults")
        }
        if let max, !range.contains(max) {
            throw Fault(
                .invalidParameter,
                "Value ( \(max) ) for parameter maxResults is invalid. Expecting a value \(max < range.lowerBound ? "greater than or equal to \(range.lowerBound)" : "less than or equal to \(range.upperBound)")."
            )
        }
        limit = max ?? Paging.answerMax
        binding = context.listBinding
        guard let token, !token.isEmpty else {
            cursor = nil
            return
        }
        guard let cursor = Paging.open(token, binding) else {
            throw Fault(.pageToken, "Value ( \(token.prefix(64)) ) for parameter NextToken is invalid. The token is invalid.")
        }
        self.cursor = cursor
    }

    /// The cursor as an id's stored number; before all of them at the start.
    static func after(_ cursor: String?) -> Int64 {
        cursor.flatMap { ID<Instance>(hex: $0) }?.stored ?? .min
    }

    /// Reads rows until a page of those that pass is full, or enough were tested.
    ///
    /// - Parameters:
    ///   - place: A row's place in the order.
    ///   - read: At most so many rows after a place.
    func collect<Row: Sendable>(
        place: (Row) -> String, passes: (Row) -> Bool,
        read: (_ after: String?, _ limit: Int) async throws(Fault) -> [Row]
    ) async throws(Fault) -> (rows: [Row], next: String?) {
        var rows: [Row] = []
        var after = cursor
        var tested = 0
        while tested < Paging.testedMax {
            let wanted = min(Paging.chunk, max(limit - rows.count + 1, tested == 0 ? 1 : 200))
            let chunk = try await read(after, wanted)
            for row in chunk {
                if passes(row) {
                    // The row too many shows that there is a next page, and begins it.
                    if rows.count == limit { return (rows, token(after: after)) }
                    rows.append(row)
                }
                after = place(row)
            }
            tested += chunk.count
            if chunk.count < wanted { return (rows, nil) }
        }
        return (rows, token(after: after))
    }

    /// Pages a list that is in memory, in the order of its places.
    func collect<Row: Sendable>(
        _ all: [Row], place: (Row) -> String, passes: (Row) -> Bool
    ) async throws(Fault) -> (rows: [Row], next: String?) {
        let ordered = all.sorted { place($0) < place($1) }
        return try await collect(place: place, passes: passes) { after, limit in
            Array(ordered.drop { row in after.map { place(row) <= $0 } ?? false }.prefix(limit))
        }
    }

    private func token(after cursor: String?) -> String? {
        guard let cursor else { return nil }
        return Data(Paging.seal(cursor, binding) + Array(cursor.utf8)).base64EncodedString()
    }

    private static let sealBytes = 12
    private static let tokenBytesMax = 2048

    private static func seal(_ cursor: String, _ binding: [UInt8]) -> [UInt8] {
        Array(SHA256.hash(data: binding + Array(cursor.utf8)).prefix(sealBytes))
    }

    private static func open(_ token: String, _ binding: [UInt8]) -> String? {
        guard token.utf8.count <= tokenBytesMax, let data = Data(base64Encoded: token), data.count >= sealBytes,
            let cursor = String(validating: data.dropFirst(sealBytes), as: UTF8.self),
            seal(cursor, binding) == Array(data.prefix(sealBytes))
        else { return nil }
        return cursor
    }
}
