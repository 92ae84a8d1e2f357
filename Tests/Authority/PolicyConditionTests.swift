//  Condition operators, one row each: policy's values, request's values, result.

import Model
import Testing

@testable import Authority

/// Whether a statement with this condition applies, in an allowing and in a denying statement.
private func holds(_ condition: String, _ context: [String: ConditionValue], denying: Bool = false) throws -> Bool {
    let document = try policy(denying ? deny("*", "*", condition) : allow("*", "*", condition))
    let request = PolicyRequest(action: "ec2:X", resource: "*", context: PolicyContext(context))
    let decision = PolicySet(identity: [document]).evaluate(request)
    return denying ? decision == .explicitDeny(.identity, statement: "No") : decision == .allow
}

@Suite struct PolicyConditionTests {
    @Test(arguments: [
        ("StringEquals", #""a""#, "a", true), ("StringEquals", #""a""#, "A", false), ("StringEquals", #"["a","b"]"#, "b", true),
        ("StringEquals", #""a*""#, "ab", false), ("StringEquals", "[]", "a", false),
        ("StringNotEquals", #"["a","b"]"#, "c", true), ("StringNotEquals", #"["a","b"]"#, "b", false),
        ("StringEqualsIgnoreCase", #""äB""#, "Äb", true), ("StringNotEqualsIgnoreCase", #""ab""#, "AB", false),
        ("stringequals", #""a""#, "a", true),
        ("StringLike", #""a*c""#, "abc", true), ("StringLike", #""a*c""#, "ABC", false), ("StringNotLike", #""a*c""#, "abc", false),
        ("NumericEquals", "10", "10.0", true), ("NumericEquals", "10", "ten", false), ("NumericNotEquals", "10", "11", true),
        ("NumericLessThan", "10", "9", true), ("NumericLessThan", "10", "10", false), ("NumericLessThanEquals", "10", "10", true),
        ("NumericGreaterThan", "10", "10", false), ("NumericGreaterThanEquals", "10", "10", true),
        ("NumericGreaterThan", "-1e2", "-99", true),
        // A number is not its text: 9 is less than 10.
        ("NumericLessThan", #""10""#, "9", true), ("NumericEquals", "10", "nan", false), ("NumericEquals", "10", "0xA", false),
        ("DateLessThan", #""2024-01-01T00:00:00Z""#, "2023-12-31T23:59:59Z", true),
        ("DateLessThan", #""2024-01-01T00:00:00Z""#, "2024-01-01T00:00:00Z", false),
        ("DateLessThanEquals", #""2024-01-01T00:00:00Z""#, "2024-01-01T00:00:00Z", true),
        ("DateGreaterThan", #""2024-01-01""#, "1704067201", true), ("DateGreaterThanEquals", "1704067200", "2024-01-01", true),
        ("DateEquals", #""2024-01-01T01:00:00+01:00""#, "2024-01-01T00:00:00Z", true),
        ("DateNotEquals", #""2024-01-01""#, "garbage", true),
        ("Bool", "true", "true", true), ("Bool", #""True""#, "TRUE", true), ("Bool", "false", "true", false),
        ("Bool", "true", "1", false),
        ("BinaryEquals", #""QmluYXJ5""#, "QmluYXJ5", true), ("BinaryEquals", #""QmluYXJ5""#, "QmluYXJ4", false),
        ("IpAddress", #""10.0.0.0/8""#, "10.255.0.1", true), ("IpAddress", #""10.0.0.0/8""#, "11.0.0.1", false),
        ("IpAddress", #""10.1.2.3""#, "10.1.2.3", true), ("IpAddress", #""0.0.0.0/0""#, "10.1.2.3", true),
        ("IpAddress", #""0.0.0.0/0""#, "::1", false), ("IpAddress", #""10.0.0.0/9""#, "10.128.0.0", false),
        ("IpAddress", #""2001:db8::/32""#, "2001:db8:1::5", true), ("IpAddress", #""2001:db8::/32""#, "2001:db9::", false),
        // The same client over a socket of both versions.
        ("IpAddress", #""10.0.0.0/8""#, "::ffff:10.0.0.1", true), ("IpAddress", #""10.0.0.0/8""#, "not an address", false),
        ("NotIpAddress", #""10.0.0.0/8""#, "10.0.0.1", false), ("NotIpAddress", #"["10.0.0.0/8","::/0"]"#, "11.0.0.1", true),
        ("ArnEquals", #""arn:aws:s3:::b/*""#, "arn:aws:s3:::b/x/y", true),
        ("ArnLike", #""arn:*:s3:*:*:b""#, "arn:aws:s3:::b", true),
        // Each part is matched by itself: an asterisk does not reach over a colon.
        ("ArnLike", #""arn:aws:*:b""#, "arn:aws:s3:::b", false), ("ArnNotLike", #""arn:aws:s3:::b""#, "arn:aws:s3:::c", true),
        ("ArnNotEquals", #""arn:aws:s3:::b""#, "arn:aws:s3:::b", false),
        ("ArnEquals", #""arn:aws:sns:r:1:t:*""#, "arn:aws:sns:r:1:t:sub:2", true),
        ("Null", "true", "x", false), ("Null", "false", "x", true),
    ])
    func operators(name: String, wanted: String, given: String, holds expected: Bool) throws {
        #expect(try holds("{\"\(name)\":{\"k:y\":\(wanted)}}", ["K:Y": .text(given)]) == expected)
    }

    @Test(arguments: [
        ("StringEquals", false), ("StringNotEquals", true), ("StringEqualsIfExists", true), ("NumericLessThan", false),
        ("NumericLessThanIfExists", true), ("StringNotLikeIfExists", true), ("ForAnyValue:StringEquals", false),
        ("ForAllValues:StringEquals", true), ("ForAnyValue:StringNotEquals", false), ("ForAllValues:StringNotEquals", true),
        ("ForAnyValue:StringEqualsIfExists", true),
    ])
    func absentKeys(name: String, expected: Bool) throws {
        #expect(try holds("{\"\(name)\":{\"k:y\":\"1\"}}", [:]) == expected)
        #expect(try holds("{\"\(name)\":{\"k:y\":\"1\"}}", ["k:y": .texts([])]) == expected)
    }

    @Test func absenceItself() throws {
        #expect(try holds(#"{"Null":{"k:y":"true"}}"#, [:]))
        #expect(try !holds(#"{"Null":{"k:y":"false"}}"#, [:]))
    }

    @Test(arguments: [
        ("ForAllValues:StringEquals", ["a", "b"], true), ("ForAllValues:StringEquals", ["a", "c"], false),
        ("ForAnyValue:StringEquals", ["a", "c"], true), ("ForAnyValue:StringEquals", ["c"], false),
        ("ForAllValues:StringNotEquals", ["c", "d"], true), ("ForAllValues:StringNotEquals", ["a", "d"], false),
        ("ForAnyValue:StringNotEquals", ["a", "d"], true), ("ForAnyValue:StringNotEquals", ["a", "b"], false),
        // Without a quantifier one value must match, and for the negated ones none may.
        ("StringEquals", ["c", "a"], true), ("StringNotEquals", ["c", "a"], false), ("StringNotEquals", ["c"], true),
    ])
    func lists(name: String, given: [String], expected: Bool) throws {
        #expect(try holds("{\"\(name)\":{\"k:y\":[\"a\",\"b\"]}}", ["k:y": .texts(given)]) == expected)
    }

    @Test func allOperatorsAndKeysMustHold() throws {
        let condition = #"{"StringEquals":{"a:a":"1","b:b":"2"},"Bool":{"c:c":"true"}}"#
        #expect(try holds(condition, ["a:a": "1", "b:b": "2", "c:c": "true"]))
        for missing in ["a:a", "b:b", "c:c"] {
            var context: [String: ConditionValue] = ["a:a": "1", "b:b": "2", "c:c": "true"]
            context[missing] = "other"
            #expect(try !holds(condition, context))
        }
    }

    /// Where a variable has no value a permission is not given and a denial stands.
    @Test func unknownVariablesErrOnTheSafeSide() throws {
        let equal = #"{"StringEquals":{"k:y":"${no:such}"}}"#
        let unequal = #"{"StringNotEquals":{"k:y":"${no:such}"}}"#
        #expect(try !holds(equal, ["k:y": "x"]))
        #expect(try !holds(unequal, ["k:y": "x"]))
        #expect(try holds(unequal, ["k:y": "x"], denying: true))
        let name = #"{"ArnNotLike":{"k:y":"arn:aws:s3:::${no:such}"}}"#
        #expect(try !holds(name, ["k:y": "arn:aws:s3:::b"]))
        // Another part differs already, whatever the variable is.
        #expect(try holds(name, ["k:y": "arn:aws:sns:::b"]))
        #expect(try holds(#"{"StringEquals":{"k:y":["${no:such}","x"]}}"#, ["k:y": "x"]))
        let request = PolicyRequest(action: "s3:Get", resource: "arn:aws:s3:::b", context: PolicyContext())
        let unnamed = "arn:aws:s3:::${no:such}"
        let except = #"{"Effect":"EFFECT","Action":"*","NotResource":"\#(unnamed)"}"#
        let allowing = try policy(except.replacing("EFFECT", with: "Allow"))
        #expect(PolicySet(identity: [allowing]).evaluate(request) == .implicitDeny(.identity))
        let denying = try policy(allow("*") + "," + except.replacing("EFFECT", with: "Deny"))
        #expect(PolicySet(identity: [denying]).evaluate(request) == .explicitDeny(.identity, statement: nil))
    }

    @Test(arguments: [
        ("::", 16), ("::1", 16), ("1::", 16), ("1:2:3:4:5:6:7:8", 16), ("1:2:3:4:5:6:1.2.3.4", 16), ("::ffff:1.2.3.4", 16),
        ("1.2.3.4", 4),
        ("", 0), (":", 0), (":::", 0), ("1::2::3", 0), ("1:2:3:4:5:6:7", 0), ("1:2:3:4:5:6:7:8:9", 0), ("1:2:3:4:5:6:7::8", 0),
        ("12345::", 0), ("g::", 0), ("1.2.3.4::", 0), ("::1.2.3", 0), ("+1::", 0), ("fe80::1%eth0", 0),
    ])
    func addresses(text: String, count: Int) { #expect(AddressRange.addressBytes(text[...])?.count ?? 0 == count) }
}
