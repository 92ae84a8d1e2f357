//  The policy language: what is refused, what a pattern matches, and what the evaluator decides.

import Model
import Testing

@testable import Authority

func policy(_ statements: String, version: String = "2012-10-17") throws -> PolicyDocument {
    try PolicyDocument(parsing: "{\"Version\":\"\(version)\",\"Statement\":[\(statements)]}")
}

func allow(_ action: String, _ resource: String = "*", _ condition: String = "{}") -> String {
    "{\"Effect\":\"Allow\",\"Action\":\"\(action)\",\"Resource\":\"\(resource)\",\"Condition\":\(condition)}"
}

func deny(_ action: String, _ resource: String = "*", _ condition: String = "{}") -> String {
    "{\"Sid\":\"No\",\"Effect\":\"Deny\",\"Action\":\"\(action)\",\"Resource\":\"\(resource)\",\"Condition\":\(condition)}"
}

let instanceName = "arn:aws:ec2:here:111111111111:instance/i-0123456789abcdef0"

@Suite struct PolicyParserTests {
    @Test(arguments: [
        // Lists and single values, white space, escapes.
        #"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#,
        #"{ "Statement" : [ { "Sid":"", "Effect":"Deny", "NotAction":["iam:*","s3:Get?"], "NotResource":["arn:aws:s3:::a/*"] } ] }"#,
        #"{"Version":"2008-10-17","Id":"cd3ad3d9","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}"}]}"#,
        #"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"\u0065c2:Run\u002a","Resource":"arn:aws:ec2:*"}]}"#,
        // The colons of a variable part nothing.
        #"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:PrincipalTag/team, 'none'}/*"}]}"#,
        #"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:*","Resource":"*","Condition":{"NumericLessThanIfExists":{"ec2:VolumeSize":[10, 20.5]},"Bool":{"aws:SecureTransport":true},"Null":{"aws:TokenIssueTime":"true"},"ForAllValues:StringLike":{"aws:TagKeys":["a*","b?"]}}}]}"#,
    ])
    func accepted(text: String) throws { _ = try PolicyDocument(parsing: text) }

    @Test(arguments: [
        ("", "Syntax errors in policy."),
        ("[]", "Syntax errors in policy."),
        ("{}", "Syntax errors in policy."),
        (#"{"Statement":[]}"#, "Syntax errors in policy."),
        (#"{"Statement":[1]}"#, "Syntax errors in policy."),
        (#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]} x"#, "Syntax errors in policy."),
        (#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},]}"#, "Syntax errors in policy."),
        (
            #"{"Version":"2013-01-01","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
            "The policy must contain a valid version string"
        ),
        (#"{"version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#, "Syntax errors in policy."),
        // The same key twice: which of the two would count?
        (#"{"Statement":[{"Effect":"Deny","Effect":"Allow","Action":"*","Resource":"*"}]}"#, "Syntax errors in policy."),
        (#"{"Statement":[{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}]}"#, "Syntax errors in policy."),
        (#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","NotResource":"*"}]}"#, "Syntax errors in policy."),
        (#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Extra":1}]}"#, "Syntax errors in policy."),
        (#"{"Statement":[{"Action":"*","Resource":"*"}]}"#, "Missing required field Effect"),
        (#"{"Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}"#, "Invalid effect: allow"),
        (#"{"Statement":[{"Effect":"Allow","Resource":"*"}]}"#, "Policy statement must contain actions."),
        (#"{"Statement":[{"Effect":"Allow","Action":[],"Resource":"*"}]}"#, "Policy statement must contain actions."),
        (#"{"Statement":[{"Effect":"Allow","Action":"*"}]}"#, "Policy statement must contain resources."),
        (
            #"{"Statement":[{"Effect":"Allow","Action":"RunInstances","Resource":"*"}]}"#,
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
        ),
        (#"{"Statement":[{"Effect":"Allow","Action":"ec2:a:b","Resource":"*"}]}"#, "Actions/Condition can contain only one colon."),
        (#"{"Statement":[{"Effect":"Allow","Action":"*:Describe","Resource":"*"}]}"#, "Vendor * is not valid"),
        (#"{"Statement":[{"Effect":"Allow","Action":":Describe","Resource":"*"}]}"#, "Vendor  is not valid"),
        (#"{"Statement":[{"Effect":"Allow","Action":"ec2:","Resource":"*"}]}"#, "Syntax errors in policy."),
        (#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"i-1"}]}"#, "Resource i-1 must be in ARN format or \"*\"."),
        (#"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"arn:aws:ec2"}]}"#, "The policy failed legacy parsing"),
        (
            #"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:username"}]}"#,
            "Syntax errors in policy."
        ),
        (
            #"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${a, b}"}]}"#,
            "Syntax errors in policy."
        ),
        (
            #"{"Statement":[{"Sid":"a b","Effect":"Allow","Action":"*","Resource":"*"}]}"#,
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
        ),
        (
            #"{"Statement":[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"}]}"#,
            "Statement IDs (SID) in a single policy must be unique."
        ),
        (
            #"{"Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#,
            "Policy document should not specify a principal."
        ),
        (
            #"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringIs":{"aws:username":"x"}}}]}"#,
            "Invalid Condition type : StringIs."
        ),
        (
            #"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForSome:StringEquals":{"aws:username":"x"}}}]}"#,
            "Invalid Condition type : ForSome:StringEquals."
        ),
        (
            #"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NullIfExists":{"aws:username":"true"}}}]}"#,
            "Invalid Condition type : NullIfExists."
        ),
        (
            #"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}}]}"#,
            "Invalid value for the condition key aws:SourceIp with IpAddress."
        ),
        (
            #"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"tomorrow"}}}]}"#,
            "Invalid value for the condition key aws:CurrentTime with DateLessThan."
        ),
        (
            #"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":"yes"}}}]}"#,
            "Invalid value for the condition key aws:SecureTransport with Bool."
        ),
        (
            #"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"username":"x"}}}]}"#,
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
        ),
    ])
    func refused(text: String, message: String) {
        #expect(throws: Fault(.malformedPolicy, message, kind: .policy)) { try PolicyDocument(parsing: text) }
    }

    @Test func resourcePoliciesNamePrincipals() throws {
        let text =
            #"{"Version":"2012-10-17","Statement":[{"Sid":"who may","Effect":"Allow","Principal":{"AWS":["111111111111","*"],"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#
        let document = try PolicyDocument(parsing: text, for: .resource)
        #expect(document.statements[0].principals == .these([.aws("111111111111"), .everyone, .service("ec2.amazonaws.com")]))
        #expect(document.statements[0].resources == nil)
        #expect(throws: Fault.self) { try PolicyDocument(parsing: text) }
        let nobody = #"{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#
        #expect(throws: Fault(.malformedPolicy, "Missing required field Principal", kind: .policy)) {
            try PolicyDocument(parsing: nobody, for: .resource)
        }
        #expect(throws: Fault.self) {
            try PolicyDocument(parsing: #"{"Statement":[{"Effect":"Allow","Principal":{"Who":"x"},"Action":"*"}]}"#, for: .resource)
        }
    }

    @Test func sizeIsCountedWithoutWhiteSpace() throws {
        let spacious = "{\"Statement\":[\(allow("ec2:*"))]}" + String(repeating: " \n", count: 10_000)
        _ = try PolicyDocument(parsing: spacious)
        let long = try policy(allow("ec2:" + String(repeating: "a", count: 6000)))
        #expect(long.statementIds == [nil])
        #expect(throws: Fault(.limitExceeded, "Cannot exceed quota for PolicySize: 6144", kind: .policy)) {
            try policy(allow("ec2:" + String(repeating: "a", count: 6144)))
        }
        #expect(throws: Fault.self) { try PolicyDocument(parsing: "{\"Statement\":[\(allow("ec2:*"))]}", charactersMax: 20) }
        let nested = String(repeating: "[", count: 2000) + String(repeating: "]", count: 2000)
        #expect(throws: Fault(.malformedPolicy, "Syntax errors in policy.", kind: .policy)) { try PolicyDocument(parsing: nested) }
    }

    @Test func managedPoliciesAreWhatTheirTextsSay() throws {
        for managed in ManagedPolicy.all {
            #expect(try PolicyDocument(parsing: managed.text) == managed.document)
        }
        #expect(ManagedPolicy.readOnlyAccess.resourceName.description == "arn:aws:iam::aws:policy/ReadOnlyAccess")
    }
}

@Suite struct PolicyPatternTests {
    @Test(arguments: [
        ("*", "", true), ("*", "anything", true), ("", "", true), ("", "a", false), ("abc", "abc", true), ("abc", "abcd", false),
        ("abc*", "abc", true), ("abc*", "abcd", true), ("abc*", "ab", false), ("*c", "abc", true), ("*c", "abcd", false),
        ("a*c", "ac", true), ("a*c", "abcbc", true), ("a*b*c", "aXbXc", true), ("a*b*c", "acb", false), ("a**c", "abc", true),
        ("a?c", "abc", true), ("a?c", "ac", false), ("a?c", "abbc", false), ("?", "", false), ("??", "é", false), ("?", "é", true),
        ("a?c", "a\u{1F600}c", true), ("*?", "", false), ("*?", "x", true), ("?*?", "ab", true), ("*a*a*a", "aaa", true),
        ("*a*a*a", "aa", false),
        ("*ab", "aab", true), ("*é?", "éé1", true),
        // An asterisk crosses colons and slashes.
        ("arn:aws:ec2:*:instance/*", "arn:aws:ec2:r:1:instance/i-1", true),
        ("arn:aws:ec2:*:1:volume/*", "arn:aws:ec2:r:1:instance/i-1", false),
    ])
    func wildcards(pattern: String, text: String, matches: Bool) throws {
        let compiled = try #require(PolicyPattern(pattern, .init(wildcards: true, variables: true)))
        #expect(compiled.matches(Array(text.utf8), PolicyContext()) == matches)
    }

    @Test(arguments: [
        ("${aws:username}", "alice", Bool?.some(true)),
        ("home/${aws:UserName}/*", "home/alice/x", true),
        ("home/${aws:username}/*", "home/bob/x", false),
        ("${aws:nothing}", "alice", nil),
        ("${aws:nothing, 'alice'}", "alice", true),
        ("${aws:nothing,'alice'}x", "alicex", true),
        ("${aws:username, 'bob'}", "alice", true),
        // What a variable holds is text, even if it looks like a pattern.
        ("${my:star}", "anything", false),
        ("${my:star}", "a*", true),
        ("${my:list}", "one", nil),
        ("${*}", "*", true), ("${*}", "x", false), ("${?}", "?", true), ("${$}{aws:username}", "${aws:username}", true),
        ("$", "$", true), ("$x{", "$x{", true),
    ])
    func variables(pattern: String, text: String, matches: Bool?) throws {
        let compiled = try #require(PolicyPattern(pattern, .init(wildcards: true, variables: true)))
        let context = PolicyContext(["AWS:username": "alice", "my:star": "a*", "my:list": .texts(["one", "two"])])
        #expect(compiled.matches(Array(text.utf8), context) == matches)
    }

    @Test func oldPoliciesHaveNoVariables() throws {
        let compiled = try #require(PolicyPattern("${aws:username}", .init(wildcards: true, variables: false)))
        #expect(compiled.matches(Array("${aws:username}".utf8), PolicyContext(["aws:username": "alice"])) == true)
        #expect(compiled.matches(Array("alice".utf8), PolicyContext(["aws:username": "alice"])) == false)
    }

    /// The worst that a policy of full size can ask for.
    @Test func hostilePatternsEndSoon() throws {
        let pattern = String(repeating: "*a", count: 1000) + "b"
        let compiled = try #require(PolicyPattern(pattern, .init(wildcards: true, variables: false)))
        let text = [UInt8](repeating: UInt8(ascii: "a"), count: 2048)
        var matches: Bool?
        let used = threadTime { matches = compiled.matches(text, PolicyContext()) }
        #expect(matches == false)
        #expect(used < .seconds(5))
    }

    /// The compiled matcher agrees with the plainest one there is.
    @Test(arguments: [UInt64(11), 12, 13])
    func agreesWithRecursion(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        func word(_ letters: [Character], _ longest: Int) -> String {
            String((0..<Int.random(in: 0...longest, using: &dice)).map { _ in letters.randomElement(using: &dice) ?? "a" })
        }
        for _ in 0..<5000 {
            let pattern = word(["a", "b", "*", "?", "é"], 7)
            let text = word(["a", "b", "é"], 9)
            let compiled = try #require(PolicyPattern(pattern, .init(wildcards: true, variables: true)))
            let expected = naive(Array(pattern.unicodeScalars)[...], Array(text.unicodeScalars)[...])
            #expect(compiled.matches(Array(text.utf8), PolicyContext()) == expected, "\(pattern) \(text) seed \(seed)")
        }
    }

    private func naive(_ pattern: ArraySlice<Unicode.Scalar>, _ text: ArraySlice<Unicode.Scalar>) -> Bool {
        guard let first = pattern.first else { return text.isEmpty }
        if first == "*" { return naive(pattern.dropFirst(), text) || (!text.isEmpty && naive(pattern, text.dropFirst())) }
        guard let letter = text.first, first == "?" || first == letter else { return false }
        return naive(pattern.dropFirst(), text.dropFirst())
    }
}
