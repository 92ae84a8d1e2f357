//  What the tests of the wire layer share: forms as queries, values as lines, botocore as the judge.

import Foundation
import Model
import Platform
import Testing

@testable import AWSProtocol

func query(_ form: String, _ dialect: Dialect = .ec2, limits: FormParameters.Limits = .init()) throws(Fault) -> Query {
    try Query(FormParameters(Array(form.utf8), limits: limits), dialect)
}

/// A body as text.
func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

/// The leaves of a structure as sorted lines, like `values` in Tests/Oracles/aws.py.
func lines(of value: Any) -> [String] {
    var lines: [String] = []
    append(value, at: "", to: &lines)
    return lines.sorted()
}

private func append(_ value: Any, at path: String, to lines: inout [String]) {
    let isBytes = type(of: value) == [UInt8].self
    switch value {
    case let value as String: lines.append("\(path) = s:\(value)")
    case let value as Int: lines.append("\(path) = i:\(value)")
    case let value as Double: lines.append("\(path) = d:\(value)")
    case let value as Bool: lines.append("\(path) = b:\(value)")
    case let value as Instant: lines.append("\(path) = t:\(value.microseconds)")
    // Any empty array can be cast to one of bytes.
    case let value as [UInt8] where isBytes: lines.append("\(path) = x:\(Data(value).base64EncodedString())")
    case let items as [Any]:
        if items.isEmpty { lines.append("\(path) = []") }
        for (number, item) in items.enumerated() { append(item, at: "\(path)[\(number)]", to: &lines) }
    default:
        let before = lines.count
        for child in Mirror(reflecting: value).children {
            let optional = Mirror(reflecting: child.value)
            guard let label = child.label, optional.displayStyle == .optional, let present = optional.children.first else {
                continue
            }
            append(present.value, at: path.isEmpty ? label : "\(path).\(label)", to: &lines)
        }
        if lines.count == before, !path.isEmpty { lines.append("\(path) = {}") }
    }
}

/// botocore, run on our own models.
enum Oracle {
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    struct Request: Decodable {
        var operation: String
        var body: String
        var values: [String]
    }

    struct Response: Codable {
        var operation: String?
        var body: String?
        var values: [String]?
        var status: Int?
        var code: String?
        var message: String?
        var requestId: String?
    }

    /// Requests as botocore sends them, and what they say.
    static func requests(_ service: String, seed: UInt64, rounds: Int) async throws -> [Request] {
        try decoded(try await run(["requests", model(service), "\(seed)", "\(rounds)"]))
    }

    /// What botocore reads in our answers.
    static func read(_ mode: String, _ service: String, _ responses: [Response]) async throws -> [Response] {
        let input = try responses.map { text([UInt8](try JSONEncoder().encode($0))) + "\n" }.joined()
        return try decoded(try await run([mode, model(service)], input: input))
    }

    private static func model(_ service: String) -> String { root.appending(path: "Models/\(service).json").path }

    private static func run(_ arguments: [String], input: String = "") async throws -> String {
        let python = ProcessInfo.processInfo.environment["KARRI_PYTHON"] ?? "python3"
        let script = root.appending(path: "Tests/Oracles/aws.py").path
        return try await Command.run(python, [script] + arguments, input: input, outputLimit: 64 << 20)
    }

    private static func decoded<Line: Decodable>(_ output: String) throws -> [Line] {
        try output.split(separator: "\n").map { try JSONDecoder().decode(Line.self, from: Data($0.utf8)) }
    }
}

/// A response of chance with its body.
struct SampledResponse {
    var value: any Sendable
    var body: [UInt8]
}

/// Fills structures with values of chance.
struct SampleChance {
    private var dice: Dice
    private let percent: UInt64

    init(seed: UInt64, percent: UInt64) {
        dice = Dice(seed: seed)
        self.percent = percent
    }

    mutating func fills() -> Bool { UInt64.random(in: 0..<100, using: &dice) < percent }

    mutating func string() -> String {
        let odd: [Character] = [" ", "&", "<", ">", "\"", "'", "\r", "\n", "\t", "é", "漢", "😀", "]", "=", "%", ";", "0", "a", "Z"]
        return String((0..<Int.random(in: 0...8, using: &dice)).compactMap { _ in odd.randomElement(using: &dice) })
    }

    mutating func integer() -> Int { Int(Int32.random(in: .min ... .max, using: &dice)) }
    mutating func long() -> Int { Int.random(in: .min ... .max, using: &dice) }
    mutating func double() -> Double {
        [0, 1.5, -2.25, 1e-05, 3e22, Double.random(in: 0..<1, using: &dice)].randomElement(using: &dice) ?? 0
    }
    mutating func boolean() -> Bool { Bool.random(using: &dice) }
    /// Whole milliseconds between the years 1 and 9000: what an answer can hold.
    mutating func timestamp() -> Instant {
        Instant(microseconds: Int64.random(in: -62_000_000_000_000...221_000_000_000_000, using: &dice) * 1000)
    }
    mutating func blob() -> [UInt8] {
        (0..<Int.random(in: 0...40, using: &dice)).map { _ in UInt8.random(in: .min ... .max, using: &dice) }
    }

    mutating func list<Element>(_ element: (inout SampleChance) -> Element) -> [Element] {
        (0..<Int.random(in: 0...3, using: &dice)).map { _ in element(&self) }
    }
}
