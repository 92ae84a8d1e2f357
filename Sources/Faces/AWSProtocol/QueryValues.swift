//  What a place in the tree of parameters means: a scalar, a list or a structure, with the
//  constraints of the service's model and the original's words when they are not met.

import FoundationEssentials
import Model

extension Query {
    // MARK: Scalars

    /// A string.
    ///
    /// - Parameters:
    ///   - length: How many Unicode scalars it may have.
    ///   - values: The only values that are allowed; empty means any.
    /// - Throws: `invalidParameter` if a constraint is not met.
    public func string(length: ClosedRange<Int>? = nil, oneOf values: [String] = []) throws(Fault) -> String {
        let text = try scalar()
        if let length, !length.contains(text.unicodeScalars.count) {
            throw invalid(text, .length(length, tooSmall: text.unicodeScalars.count < length.lowerBound))
        }
        if !values.isEmpty, !values.contains(text) { throw invalid(text, .oneOf(values)) }
        return text
    }

    /// A whole number, 32 bits wide unless `range` says otherwise.
    public func integer(in range: ClosedRange<Int> = Int(Int32.min)...Int(Int32.max)) throws(Fault) -> Int {
        let text = try scalar()
        // Swift takes a leading plus sign; the original does not.
        guard text.utf8.first != UInt8(ascii: "+"), let value = Int(text) else { throw invalid(text, .type("an integer")) }
        guard range.contains(value) else { throw invalid(text, .range(range, tooSmall: value < range.lowerBound)) }
        return value
    }

    /// A whole number, 64 bits wide.
    public func long() throws(Fault) -> Int { try integer(in: .min ... .max) }

    /// A decimal number.
    public func double() throws(Fault) -> Double {
        let text = try scalar()
        // Swift also takes hexadecimal digits, infinities and NaN, which no parameter means.
        let plain = text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || "+-.eE".utf8.contains($0) }
        guard plain, let value = Double(text), value.isFinite else { throw invalid(text, .type("a number")) }
        return value
    }

    /// `true` or `false`, in any case, or 1 or 0 as old clients write them.
    public func boolean() throws(Fault) -> Bool {
        let text = try scalar()
        switch text.utf8.count <= 5 ? text.lowercased() : "" {
        case "true", "1": return true
        case "false", "0": return false
        default: throw invalid(text, .type("true or false"))
        }
    }

    /// A moment in ISO 8601.
    public func timestamp() throws(Fault) -> Instant {
        let text = try scalar()
        guard let instant = Instant(iso8601: text) else { throw invalid(text, .type("a date and time in ISO 8601")) }
        return instant
    }

    /// Bytes in Base64.
    public func blob() throws(Fault) -> [UInt8] {
        let text = try scalar()
        guard let data = Data(base64Encoded: text) else { throw invalid(text, .type("Base64")) }
        return [UInt8](data)
    }

    private func scalar() throws(Fault) -> String {
        if let name = node.children.keys.min(), let child = child(name) { throw child.unknown() }
        guard let value = node.value else { throw unknown() }
        return value
    }

    /// A structure, read by its own initializer.
    public func structure<Structure>(_ read: (Query) throws(Fault) -> Structure) throws(Fault) -> Structure { try read(self) }

    // MARK: Lists

    /// Numbered structures (or other values) below this place, in the order of their numbers. Gaps
    /// are allowed, as by the original.
    ///
    /// - Parameters:
    ///   - member: The name between the list's and the number, for lists that are not flat.
    ///   - count: How many there may be.
    ///   - read: How one of them is read.
    public func list<Element>(
        member: Substring? = nil, count: ClosedRange<Int>? = nil, _ read: (Query) throws(Fault) -> Element
    ) throws(Fault) -> [Element] {
        let places = try numbered(member)
        if let count, !count.contains(places.count) {
            throw invalid("\(places.count) members", .length(count, tooSmall: places.count < count.lowerBound))
        }
        var elements: [Element] = []
        elements.reserveCapacity(places.count)
        for place in places { elements.append(try read(place)) }
        return elements
    }

    /// Numbered strings, with constraints on each.
    public func strings(
        member: Substring? = nil, count: ClosedRange<Int>? = nil, length: ClosedRange<Int>? = nil, oneOf values: [String] = []
    ) throws(Fault) -> [String] {
        try list(member: member, count: count) { place throws(Fault) in try place.string(length: length, oneOf: values) }
    }

    private func numbered(_ member: Substring?) throws(Fault) -> [Query] {
        // An empty list is sent as the list's name with an empty value.
        if node.value?.isEmpty == false { throw unknown() }
        if let member {
            for name in node.children.keys.sorted() where name != member {
                if let child = child(name) { throw child.unknown() }
            }
            return try child(member)?.numbered(nil) ?? []
        }
        var numbers: [Int] = []
        for name in node.children.keys {
            guard let number = Int(name), number >= 0, String(number) == name else {
                throw child(name)?.unknown() ?? unknown()
            }
            guard number <= limits.index else {
                throw Fault(.tooLarge, "The parameter \(brief(path)) has an index above \(limits.index)")
            }
            numbers.append(number)
        }
        return numbers.sorted().compactMap { child(Substring(String($0))) }
    }
}

// MARK: Refusals

extension Query {
    enum Constraint {
        case type(String)
        case length(ClosedRange<Int>, tooSmall: Bool)
        case range(ClosedRange<Int>, tooSmall: Bool)
        case oneOf([String])
    }

    func missing(_ name: Substring) -> Fault {
        let parameter = path.isEmpty ? String(name) : "\(path).\(name)"
        switch dialect {
        case .ec2: return Fault(.missingParameter, "The request must contain the parameter \(parameter)")
        case .query:
            return Fault(
                .missingParameter,
                "1 validation error detected: Value null at '\(memberName(parameter))' failed to satisfy constraint: "
                    + "Member must not be null")
        }
    }

    func invalid(_ text: String, _ constraint: Constraint) -> Fault {
        let value = brief(text)
        switch dialect {
        case .ec2:
            let reason = text.isEmpty ? "The value cannot be empty" : constraint.sentence
            return Fault(
                .invalidParameter, "Value (\(value)) for parameter \(brief(path)) is invalid.\(reason.isEmpty ? "" : " ")\(reason)")
        case .query:
            return Fault(
                .invalidParameter,
                "1 validation error detected: Value '\(value)' at '\(memberName(brief(path)))' failed to satisfy constraint: "
                    + constraint.memberSentence)
        }
    }

    /// The query services name a parameter in their validation errors with a small first letter.
    private func memberName(_ parameter: String) -> String { parameter.prefix(1).lowercased() + parameter.dropFirst() }
}

extension Query.Constraint {
    /// EC2's words.
    fileprivate var sentence: String {
        switch self {
        case .type(let name): "Expecting \(name)."
        case .length(let range, let tooSmall), .range(let range, let tooSmall):
            tooSmall ? "Expecting a value greater than \(range.lowerBound)." : "Expecting a value less than \(range.upperBound)."
        // The original does not list what it knows.
        case .oneOf: ""
        }
    }

    /// The query services' words.
    fileprivate var memberSentence: String {
        switch self {
        case .type(let name): "Member must be \(name)"
        case .length(let range, let tooSmall):
            tooSmall
                ? "Member must have length greater than or equal to \(range.lowerBound)"
                : "Member must have length less than or equal to \(range.upperBound)"
        case .range(let range, let tooSmall):
            tooSmall
                ? "Member must have value greater than or equal to \(range.lowerBound)"
                : "Member must have value less than or equal to \(range.upperBound)"
        case .oneOf(let values): "Member must satisfy enum value set: [\(values.joined(separator: ", "))]"
        }
    }
}
