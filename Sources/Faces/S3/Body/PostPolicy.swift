//  The policy of a form: until when, and for which fields, its signature is good ("POST policy", Amazon
//  S3 API Reference). Reading and checking are pure.

import Authority
import FoundationEssentials
import Model

/// A policy document.
struct PostPolicy: Sendable, Hashable {
    /// How long the file may be, in bytes.
    struct Sizes: Sendable, Hashable {
        var least: Int64 = 0
        var most = Int64.max
    }

    enum Operation: String, Sendable, Hashable {
        case equals = "eq"
        case startsWith = "starts-with"
    }

    enum Condition: Sendable, Hashable {
        /// - Parameter name: As the policy spells it, with the dollar sign.
        case field(Operation, name: String, operand: String)
        case contentLength(Sizes)
        /// A range that is none: nothing is within it.
        case noLength(least: String, most: String)
    }

    let expiration: Instant
    let conditions: [Condition]

    /// - Parameter base64: As it was sent. Forms break it into lines.
    init(base64: String) throws(S3Error) {
        let text = String(base64.filter { !$0.isWhitespace })
        guard let document = Data(base64Encoded: text) else { throw .invalidPolicy("invalid Base64 encoding.") }
        try self.init(document: Array(document))
    }

    init(document: [UInt8]) throws(S3Error) {
        guard case .object(let members)? = PolicyJSON(document) else { throw .invalidPolicyJSON }
        var expiration: Instant?
        var conditions: [Condition]?
        for member in members {
            switch (member.key, member.value) {
            case ("expiration", .string(let text)):
                guard text.contains("T"), text.hasSuffix("Z"), let moment = Instant(iso8601: text) else {
                    throw .invalidPolicy("Invalid 'expiration' value: '\(text.prefix(64))'")
                }
                expiration = moment
            case ("expiration", _): throw .invalidPolicyJSON
            case ("conditions", .array(let elements)):
                var read: [Condition] = []
                for element in elements { read.append(try Condition(element)) }
                conditions = read
            case ("conditions", _): throw .invalidPolicy("Invalid 'conditions' value: must be a List.")
            default: throw .invalidPolicy("Unexpected: '\(member.key.prefix(64).lowercased())'")
            }
        }
        guard let expiration else { throw .invalidPolicy("Policy missing expiration.") }
        guard let conditions else { throw .invalidPolicy("Policy missing conditions.") }
        self.expiration = expiration
        self.conditions = conditions
    }

    /// How long the file may be: what all conditions allow.
    var sizes: Sizes {
        conditions.reduce(into: Sizes()) { sizes, condition in
            guard case .contentLength(let range) = condition else { return }
            sizes.least = max(sizes.least, range.least)
            sizes.most = min(sizes.most, range.most)
        }
    }

    /// Fields that no condition need name: they carry the signature itself.
    /// What a client says of its bytes opens nothing to it.
    private static let exemptPrefixes = ["x-ignore-", "x-amz-checksum-"]
    private static let exempt: Set<String> = ["x-amz-signature", "awsaccesskeyid", "signature", "file", "policy"]

    /// Checks a form's fields, the bucket among them; the file's length is left to be checked.
    ///
    /// - Parameter fields: By name in lower case, with their variables expanded.
    func check(_ fields: [String: String], now: Instant) throws(S3Error) {
        guard now <= expiration else { throw .againstPolicy("Policy expired.") }
        if let failed = conditions.first(where: { !$0.holds(for: fields) }) {
            throw .againstPolicy("Policy Condition failed: \(failed.text)")
        }
        let covered = Set(conditions.compactMap(\.fieldName)).union(PostPolicy.exempt)
        let extra = fields.keys.filter { !covered.contains($0) && !PostPolicy.exemptPrefixes.contains(where: $0.hasPrefix) }
        guard extra.isEmpty else {
            throw .againstPolicy("Extra input fields: \(extra.sorted().joined(separator: ", "))")
        }
    }
}

extension PostPolicy.Condition {
    private static let contentLengthRange = "content-length-range"

    fileprivate init(_ json: PolicyJSON) throws(S3Error) {
        switch json {
        case .object(let members): try self.init(simple: members)
        case .array(let elements): try self.init(list: elements)
        default: throw .invalidPolicy("Invalid condition test: must be a List or Object.")
        }
    }

    /// `{"acl": "public-read"}`
    private init(simple members: [PolicyJSON.Member]) throws(S3Error) {
        guard let member = members.first, members.count == 1 else {
            throw .invalidPolicy("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
        }
        switch member.value {
        case .string(let operand): self = .field(.equals, name: "$\(member.key)", operand: operand)
        case .null: throw .invalidPolicyJSON
        default: throw .invalidPolicy("Invalid Simple-Condition: value must be a string.")
        }
    }

    /// `["starts-with", "$key", "user/eric/"]`, `["content-length-range", 1048576, 10485760]`
    private init(list elements: [PolicyJSON]) throws(S3Error) {
        guard let first = elements.first else { throw .invalidPolicy("Invalid Condition: missing operation identifier.") }
        guard case .string(let word) = first else { throw .invalidPolicyJSON }
        let operation = PostPolicy.Operation(rawValue: word.lowercased())
        guard operation != nil || word.lowercased() == Self.contentLengthRange else {
            throw .invalidPolicy("Invalid Condition: unknown operation '\(word.prefix(64))'.")
        }
        guard elements.count == 3 else { throw .invalidPolicy("Invalid \(word.lowercased()): wrong number of arguments.") }
        switch (operation, elements[1], elements[2]) {
        case (let operation?, .string(let name), .string(let operand)):
            self = .field(operation, name: name, operand: operand)
        case (nil, let least, let most): try self.init(least: least, most: most)
        default: throw .invalidPolicyJSON
        }
    }

    private init(least: PolicyJSON, most: PolicyJSON) throws(S3Error) {
        let texts = (try Self.bound(least), try Self.bound(most))
        guard let least = Int64(texts.0), let most = Int64(texts.1) else {
            self = .noLength(least: texts.0, most: texts.1)
            return
        }
        guard least >= 0, most >= least else { throw .invalidPolicy("Invalid content-length-range: \(least), \(most).") }
        self = .contentLength(PostPolicy.Sizes(least: least, most: most))
    }

    /// A number, which may stand in quotes.
    private static func bound(_ json: PolicyJSON) throws(S3Error) -> String {
        switch json {
        case .string(let text): return text
        case .number(let text):
            guard Int64(text) != nil else { throw .invalidPolicyJSON }
            return text
        default: throw .invalidPolicyJSON
        }
    }

    /// The field that it is about, in lower case; nil where it is about none.
    fileprivate var fieldName: String? {
        guard case .field(_, let name, _) = self, name.hasPrefix("$") else { return nil }
        return name.dropFirst().lowercased()
    }

    fileprivate func holds(for fields: [String: String]) -> Bool {
        switch self {
        case .contentLength: return true
        case .noLength: return false
        case .field(let operation, _, let operand):
            guard let fieldName else { return false }
            // By bytes: Swift's own comparison takes two spellings of an accented letter for one.
            let value = fields[fieldName, default: ""].utf8
            switch operation {
            case .equals: return value.elementsEqual(operand.utf8)
            case .startsWith:
                guard fieldName == "content-type" else { return value.starts(with: operand.utf8) }
                // A list, each of which must be as the policy says.
                return value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).allSatisfy { type in
                    type.drop { $0 == 0x20 || $0 == 0x09 }.starts(with: operand.utf8)
                }
            }
        }
    }

    /// As S3 shows it.
    fileprivate var text: String {
        func quoted(_ text: String) -> String {
            "\"\(text.prefix(512).map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined())\""
        }
        switch self {
        case .field(let operation, let name, let operand):
            return "[\(quoted(operation.rawValue)), \(quoted(name)), \(quoted(operand))]"
        case .contentLength(let sizes): return "[\(quoted(Self.contentLengthRange)), \(sizes.least), \(sizes.most)]"
        case .noLength(let least, let most): return "[\(quoted(Self.contentLengthRange)), \(quoted(least)), \(quoted(most))]"
        }
    }
}

extension S3Error {
    static let invalidPolicyJSON = invalidPolicy("Invalid JSON.")

    /// The policy is no policy.
    static func invalidPolicy(_ why: String) -> S3Error { S3Error(.invalidPolicyDocument, "Invalid Policy: \(why)") }

    /// The policy does not allow what the form says.
    static func againstPolicy(_ why: String) -> S3Error {
        S3Error(.accessDenied, "Invalid according to Policy: \(why)")
    }
}
