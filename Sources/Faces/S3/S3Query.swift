//  The query string of a request, which S3 reads as bytes: keys stand in it.

import AWSProtocol

/// A query string's parameters, in order.
struct S3Query: Sendable {
    private let pairs: [(name: String, value: [UInt8])]

    init(_ raw: String) {
        pairs = raw.utf8.split(separator: UInt8(ascii: "&")).map { pair in
            let halves = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(decoding: S3Query.decoded(halves[0], plusIsSpace: true), as: UTF8.self)
            return (name, halves.count == 2 ? S3Query.decoded(halves[1], plusIsSpace: true) : [])
        }
    }

    var all: [(name: String, value: [UInt8])] { pairs }
    var names: [String] { pairs.map(\.name) }
    func has(_ name: String) -> Bool { pairs.contains { $0.name == name } }
    func bytes(_ name: String) -> [UInt8]? { pairs.first { $0.name == name }?.value }
    subscript(_ name: String) -> String? { bytes(name).map { String(decoding: $0, as: UTF8.self) } }

    static func decoded(_ text: some Collection<UInt8>, plusIsSpace: Bool) -> [UInt8] {
        PercentEncoding.decoded(text, plusIsSpace: plusIsSpace)
    }

    /// A count in the query; nil where there is none.
    func number(_ name: String) throws(S3Error) -> Int? { try S3Query.number(name, self[name]) }

    /// A count as a parameter or a header says it; nil where it says none.
    static func number(_ name: String, _ text: String?) throws(S3Error) -> Int? {
        guard let text, !text.isEmpty else { return nil }
        guard let number = Int(text), (0...Int(Int32.max)).contains(number) else {
            throw S3Error.invalidArgument("Argument \(name) must be an integer between 0 and 2147483647")
        }
        return number
    }
}
