//  The Condition element: which operator, on which key, with which values (IAM User Guide, "IAM
//  JSON policy elements: Condition operators"). Values are read once, when the policy is compiled.

import FoundationEssentials
import Model

/// One operator on one key; a statement applies when all of its conditions hold.
struct PolicyCondition: Sendable, Hashable {
    /// How the values of a key with several values count.
    enum Quantifier: Sendable, Hashable { case single, forAllValues, forAnyValue }

    enum Comparison: Sendable, Hashable { case equal, less, lessOrEqual, greater, greaterOrEqual }

    enum Test: Sendable, Hashable {
        case text([PolicyPattern], ignoringCase: Bool)
        case name([[PolicyPattern]])
        case number(Comparison, [Double])
        case date(Comparison, [Instant])
        case flag([Bool])
        case binary([Data])
        case address([AddressRange])
        case absent([Bool])
    }

    /// In lower case.
    var key: String
    var quantifier: Quantifier
    var ifExists: Bool
    var negated: Bool
    var test: Test

    /// Whether the condition holds. `forAllow` says which way to err where a policy variable has no
    /// value: a negated test then grants nothing, and lets a denial stand.
    func holds(in context: PolicyContext, forAllow: Bool) -> Bool {
        let value = context.value(key)
        if case .absent(let wanted) = test { return wanted.contains(value == nil) }
        guard let value else {
            if ifExists { return true }
            switch quantifier {
            case .single: return negated
            case .forAllValues: return true
            case .forAnyValue: return false
            }
        }
        let holds = { (text: String) -> Bool in
            let matches = self.matches(text, context)
            return self.negated ? !(matches ?? forAllow) : matches ?? false
        }
        switch quantifier {
        case .single: return negated ? value.texts.allSatisfy(holds) : value.texts.contains(where: holds)
        case .forAllValues: return value.texts.allSatisfy(holds)
        case .forAnyValue: return value.texts.contains(where: holds)
        }
    }

    /// Whether one of the policy's values matches; nil where none does and a variable has no value.
    private func matches(_ text: String, _ context: PolicyContext) -> Bool? {
        switch test {
        case .text(let patterns, let ignoringCase):
            let bytes = Array((ignoringCase ? text.lowercased() : text).utf8)
            return any(patterns) { $0.matches(bytes, context) }
        case .name(let names):
            let parts = ConditionReader.nameParts(text).map { Array($0.utf8) }
            return any(names) { patterns in
                guard parts.count == patterns.count else { return false }
                return all(zip(patterns, parts)) { $0.matches($1, context) }
            }
        case .number(let comparison, let wanted):
            guard let number = ConditionReader.number(text) else { return false }
            return wanted.contains { compare(number, comparison, $0) }
        case .date(let comparison, let wanted):
            guard let instant = ConditionReader.date(text) else { return false }
            return wanted.contains { compare(instant, comparison, $0) }
        case .flag(let wanted): return ConditionReader.flag(text).map { wanted.contains($0) } ?? false
        case .binary(let wanted): return Data(base64Encoded: text).map { wanted.contains($0) } ?? false
        case .address(let ranges): return ranges.contains { $0.contains(text) }
        case .absent: return false
        }
    }

    private func compare<Value: Comparable>(_ value: Value, _ comparison: Comparison, _ wanted: Value) -> Bool {
        switch comparison {
        case .equal: value == wanted
        case .less: value < wanted
        case .lessOrEqual: value <= wanted
        case .greater: value > wanted
        case .greaterOrEqual: value >= wanted
        }
    }
}

/// True if one is true, else nil if one is unknown, else false.
private func any<Element>(_ elements: [Element], _ test: (Element) -> Bool?) -> Bool? {
    var unknown = false
    for element in elements {
        switch test(element) {
        case true: return true
        case nil: unknown = true
        default: break
        }
    }
    return unknown ? nil : false
}

/// False if one is false, else nil if one is unknown, else true.
private func all<Elements: Sequence>(_ elements: Elements, _ test: (Elements.Element) -> Bool?) -> Bool? {
    var unknown = false
    for element in elements {
        switch test(element) {
        case false: return false
        case nil: unknown = true
        default: break
        }
    }
    return unknown ? nil : true
}

/// Reads operators and values of conditions.
enum ConditionReader {
    /// The condition that `word` (such as `ForAnyValue:StringNotLikeIfExists`) makes of a key and
    /// values. Throws `malformedPolicy`.
    static func condition(
        _ word: String, key: String, values: [String], variables: Bool
    ) throws(Fault) -> PolicyCondition {
        var name = word[...]
        var quantifier = PolicyCondition.Quantifier.single
        if let colon = name.firstIndex(of: ":") {
            switch name[..<colon].lowercased() {
            case "forallvalues": quantifier = .forAllValues
            case "foranyvalue": quantifier = .forAnyValue
            default: throw .malformedPolicy("Invalid Condition type : \(word).")
            }
            name = name[name.index(after: colon)...]
        }
        let ifExists = name.lowercased().hasSuffix("ifexists")
        if ifExists { name = name.dropLast(8) }
        guard let form = forms[name.lowercased()], !ifExists || name.lowercased() != "null" else {
            throw .malformedPolicy("Invalid Condition type : \(word).")
        }
        guard let test = test(form.kind, values, variables: variables) else {
            throw .malformedPolicy("Invalid value for the condition key \(key) with \(word).")
        }
        return PolicyCondition(
            key: key.lowercased(), quantifier: quantifier, ifExists: ifExists, negated: form.negated, test: test)
    }

    private enum Form: Sendable {
        case text(wildcards: Bool, ignoringCase: Bool)
        case name, flag, binary, address, absent
        case number(PolicyCondition.Comparison)
        case date(PolicyCondition.Comparison)
    }

    private static let forms: [String: (kind: Form, negated: Bool)] = [
        "stringequals": (.text(wildcards: false, ignoringCase: false), false),
        "stringnotequals": (.text(wildcards: false, ignoringCase: false), true),
        "stringequalsignorecase": (.text(wildcards: false, ignoringCase: true), false),
        "stringnotequalsignorecase": (.text(wildcards: false, ignoringCase: true), true),
        "stringlike": (.text(wildcards: true, ignoringCase: false), false),
        "stringnotlike": (.text(wildcards: true, ignoringCase: false), true),
        "numericequals": (.number(.equal), false),
        "numericnotequals": (.number(.equal), true),
        "numericlessthan": (.number(.less), false),
        "numericlessthanequals": (.number(.lessOrEqual), false),
        "numericgreaterthan": (.number(.greater), false),
        "numericgreaterthanequals": (.number(.greaterOrEqual), false),
        "dateequals": (.date(.equal), false),
        "datenotequals": (.date(.equal), true),
        "datelessthan": (.date(.less), false),
        "datelessthanequals": (.date(.lessOrEqual), false),
        "dategreaterthan": (.date(.greater), false),
        "dategreaterthanequals": (.date(.greaterOrEqual), false),
        "bool": (.flag, false),
        "binaryequals": (.binary, false),
        "ipaddress": (.address, false),
        "notipaddress": (.address, true),
        // IAM documents ArnEquals and ArnLike as behaving alike.
        "arnequals": (.name, false),
        "arnlike": (.name, false),
        "arnnotequals": (.name, true),
        "arnnotlike": (.name, true),
        "null": (.absent, false),
    ]

    private static func test(_ form: Form, _ values: [String], variables: Bool) -> PolicyCondition.Test? {
        switch form {
        case .text(let wildcards, let ignoringCase):
            let reading = PolicyPattern.Reading(wildcards: wildcards, variables: variables, ignoringCase: ignoringCase)
            return every(values) { PolicyPattern($0, reading) }.map { .text($0, ignoringCase: ignoringCase) }
        case .name:
            let reading = PolicyPattern.Reading(wildcards: true, variables: variables)
            return every(values) { value in every(nameParts(value)) { PolicyPattern($0, reading) } }.map { .name($0) }
        case .number(let comparison): return every(values, number).map { .number(comparison, $0) }
        case .date(let comparison): return every(values, date).map { .date(comparison, $0) }
        case .flag: return every(values, flag).map { .flag($0) }
        case .binary: return every(values) { Data(base64Encoded: $0) }.map { .binary($0) }
        case .address: return every(values) { AddressRange($0) }.map { .address($0) }
        case .absent: return every(values, flag).map { .absent($0) }
        }
    }

    private static func every<From, To>(_ values: [From], _ read: (From) -> To?) -> [To]? {
        let read = values.compactMap(read)
        return read.count == values.count ? read : nil
    }

    /// The six parts of a name, which conditions compare one by one. Colons inside `${…}` part
    /// nothing; what is no name is one part.
    static func nameParts(_ text: String) -> [String] {
        var parts: [[UInt8]] = [[]]
        var inVariable = false
        for byte in text.utf8 {
            if byte == UInt8(ascii: "{"), parts[parts.count - 1].last == UInt8(ascii: "$") { inVariable = true }
            if byte == UInt8(ascii: "}") { inVariable = false }
            if byte == UInt8(ascii: ":"), !inVariable, parts.count < 6 {
                parts.append([])
            } else {
                parts[parts.count - 1].append(byte)
            }
        }
        return parts.map { String(decoding: $0, as: UTF8.self) }
    }

    static func number(_ text: String) -> Double? {
        let allowed = Set("0123456789+-.eE".utf8)
        guard (1...40).contains(text.utf8.count), text.utf8.allSatisfy(allowed.contains), let number = Double(text),
            number.isFinite
        else { return nil }
        return number
    }

    /// ISO 8601, or seconds since 1970.
    static func date(_ text: String) -> Instant? {
        if let seconds = Int64(text), seconds.magnitude < 1 << 40 { return Instant(seconds: seconds) }
        return Instant(iso8601: text)
    }

    static func flag(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "true": true
        case "false": false
        default: nil
        }
    }
}
