//  From IAM's JSON to a compiled policy. Every refusal is IAM's MalformedPolicyDocument with a
//  sentence that says what to mend.

import Model

extension PolicyDocument {
    /// The most characters of a document, white space not counted (IAM's quota for a managed policy).
    public static let charactersMax = 6144
    private static let bytesMax = 131_072
    fileprivate static let statementsMax = 200

    /// Reads and compiles a document. Throws `malformedPolicy`, or `limitExceeded` where it has more
    /// than `charactersMax` characters that are not white space.
    public init(
        parsing text: String, for use: Use = .identity, charactersMax: Int = PolicyDocument.charactersMax
    ) throws(Fault) {
        let bytes = Array(text.utf8)
        let space: Set<UInt8> = [0x20, 0x09, 0x0a, 0x0d]
        guard bytes.count <= PolicyDocument.bytesMax, bytes.count(where: { !space.contains($0) }) <= charactersMax else {
            throw Fault(.limitExceeded, "Cannot exceed quota for PolicySize: \(charactersMax)", kind: .policy)
        }
        guard case .object(let members) = PolicyJSON(bytes) else { throw .malformedPolicy("Syntax errors in policy.") }
        var parser = PolicyParser(use: use)
        self = try parser.document(members)
        self.text = text
    }
}

private struct PolicyParser {
    let use: PolicyDocument.Use
    /// Variables came with version 2012-10-17; before, `${` is text.
    var variables = false

    init(use: PolicyDocument.Use) { self.use = use }

    mutating func document(_ members: [PolicyJSON.Member]) throws(Fault) -> PolicyDocument {
        var version = "2008-10-17"
        var id: String?
        var statements: [PolicyJSON]?
        for member in members {
            switch (member.key, member.value) {
            case ("Version", .string(let text)):
                guard text == "2008-10-17" || text == "2012-10-17" else {
                    throw .malformedPolicy("The policy must contain a valid version string")
                }
                version = text
            case ("Id", .string(let text)): id = text
            case ("Statement", .array(let elements)): statements = elements
            case ("Statement", .object): statements = [member.value]
            default: throw .malformedPolicy("Syntax errors in policy.")
            }
        }
        guard let statements, !statements.isEmpty else { throw .malformedPolicy("Syntax errors in policy.") }
        guard statements.count <= PolicyDocument.statementsMax else { throw .malformedPolicy("Too many statements in policy.") }
        variables = version == "2012-10-17"
        var compiled: [PolicyStatement] = []
        var ids: Set<String> = []
        for value in statements {
            guard case .object(let members) = value else { throw .malformedPolicy("Syntax errors in policy.") }
            let statement = try statement(members)
            if let id = statement.id, !ids.insert(id).inserted {
                throw .malformedPolicy("Statement IDs (SID) in a single policy must be unique.")
            }
            compiled.append(statement)
        }
        return PolicyDocument(version: version, id: id, statements: compiled)
    }

    private func statement(_ members: [PolicyJSON.Member]) throws(Fault) -> PolicyStatement {
        var id: String?
        var effect: PolicyStatement.Effect?
        var actions: PolicyStatement.Elements<PolicyPattern>?
        var resources: PolicyStatement.Elements<PolicyPattern>?
        var principals: PolicyStatement.Elements<PolicyStatement.PrincipalName>?
        var conditions: [PolicyCondition] = []
        for member in members {
            switch member.key {
            case "Sid": id = try sid(member.value)
            case "Effect": effect = try self.effect(member.value)
            case "Action", "NotAction":
                guard actions == nil else { throw .malformedPolicy("Syntax errors in policy.") }
                let patterns = try self.actions(member.value)
                actions = member.key == "Action" ? .these(patterns) : .allBut(patterns)
            case "Resource", "NotResource":
                guard resources == nil else { throw .malformedPolicy("Syntax errors in policy.") }
                let patterns = try self.resources(member.value)
                resources = member.key == "Resource" ? .these(patterns) : .allBut(patterns)
            case "Principal", "NotPrincipal":
                guard principals == nil else { throw .malformedPolicy("Syntax errors in policy.") }
                let names = try self.principals(member.value)
                principals = member.key == "Principal" ? .these(names) : .allBut(names)
            case "Condition": conditions = try self.conditions(member.value)
            default: throw .malformedPolicy("Syntax errors in policy.")
            }
        }
        guard let effect else { throw .malformedPolicy("Missing required field Effect") }
        guard let actions else { throw .malformedPolicy("Policy statement must contain actions.") }
        switch use {
        case .identity:
            guard principals == nil else { throw .malformedPolicy("Policy document should not specify a principal.") }
            guard resources != nil else { throw .malformedPolicy("Policy statement must contain resources.") }
        case .resource:
            guard principals != nil else { throw .malformedPolicy("Missing required field Principal") }
        }
        return PolicyStatement(
            id: id, effect: effect, actions: actions, resources: resources, principals: principals, conditions: conditions)
    }

    private func sid(_ value: PolicyJSON) throws(Fault) -> String {
        guard case .string(let text) = value else { throw .malformedPolicy("Syntax errors in policy.") }
        // A resource's policy may have any Sid; an identity's may not.
        guard use == .resource || text.utf8.allSatisfy(isAlphanumeric) else {
            throw .malformedPolicy(
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*")
        }
        return text
    }

    private func effect(_ value: PolicyJSON) throws(Fault) -> PolicyStatement.Effect {
        switch value {
        case .string("Allow"): return .allow
        case .string("Deny"): return .deny
        case .string(let text): throw .malformedPolicy("Invalid effect: \(text.prefix(64))")
        default: throw .malformedPolicy("Syntax errors in policy.")
        }
    }

    private func actions(_ value: PolicyJSON) throws(Fault) -> [PolicyPattern] {
        let texts = try strings(value)
        guard !texts.isEmpty else { throw .malformedPolicy("Policy statement must contain actions.") }
        return try texts.map { text throws(Fault) in
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard text == "*" || parts.count > 1 else {
                throw .malformedPolicy("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
            }
            guard parts.count <= 2 else { throw .malformedPolicy("Actions/Condition can contain only one colon.") }
            guard text == "*" || parts[0].utf8.allSatisfy({ isAlphanumeric($0) || $0 == UInt8(ascii: "-") }), parts[0] != "" else {
                throw .malformedPolicy("Vendor \(parts[0].prefix(64)) is not valid")
            }
            let reading = PolicyPattern.Reading(wildcards: true, variables: false, ignoringCase: true)
            guard parts.last?.isEmpty == false, let pattern = PolicyPattern(text, reading) else {
                throw .malformedPolicy("Syntax errors in policy.")
            }
            return pattern
        }
    }

    private func resources(_ value: PolicyJSON) throws(Fault) -> [PolicyPattern] {
        let texts = try strings(value)
        guard !texts.isEmpty else { throw .malformedPolicy("Policy statement must contain resources.") }
        return try texts.map { text throws(Fault) in
            guard text.utf8.count <= ResourceName.bytesMax, text == "*" || text.hasPrefix("arn:") else {
                throw .malformedPolicy("Resource \(text.prefix(128)) must be in ARN format or \"*\".")
            }
            let parts = ConditionReader.nameParts(text)
            // A name with too few parts is whole if its last part is open to the right.
            guard text == "*" || parts.count == 6 || parts.last?.hasSuffix("*") == true else {
                throw .malformedPolicy("The policy failed legacy parsing")
            }
            guard let pattern = PolicyPattern(text, .init(wildcards: true, variables: variables)) else {
                throw .malformedPolicy("Syntax errors in policy.")
            }
            return pattern
        }
    }

    private func principals(_ value: PolicyJSON) throws(Fault) -> [PolicyStatement.PrincipalName] {
        switch value {
        case .string("*"): return [.everyone]
        case .object(let members) where !members.isEmpty:
            var names: [PolicyStatement.PrincipalName] = []
            for member in members {
                for text in try strings(member.value) {
                    switch member.key {
                    case "AWS": names.append(text == "*" ? .everyone : .aws(text))
                    case "Service": names.append(.service(text))
                    case "Federated": names.append(.federated(text))
                    case "CanonicalUser": names.append(.canonicalUser(text))
                    default: throw .malformedPolicy("Invalid principal in policy: \(member.key.prefix(64))")
                    }
                }
            }
            return names
        default: throw .malformedPolicy("Invalid principal in policy.")
        }
    }

    private func conditions(_ value: PolicyJSON) throws(Fault) -> [PolicyCondition] {
        guard case .object(let operators) = value else { throw .malformedPolicy("Syntax errors in policy.") }
        var conditions: [PolicyCondition] = []
        for word in operators {
            guard case .object(let keys) = word.value else { throw .malformedPolicy("Syntax errors in policy.") }
            for key in keys {
                guard key.key.utf8.contains(UInt8(ascii: ":")) else {
                    throw .malformedPolicy("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
                }
                let values = try strings(key.value)
                conditions.append(
                    try ConditionReader.condition(word.key, key: key.key, values: values, variables: variables))
            }
        }
        return conditions
    }

    /// One text or a list of them; numbers and booleans count as their text, as IAM has it.
    private func strings(_ value: PolicyJSON) throws(Fault) -> [String] {
        switch value {
        case .string(let text): return [text]
        case .number(let text): return [text]
        case .bool(let flag): return [flag ? "true" : "false"]
        case .array(let elements):
            return try elements.map { element throws(Fault) in
                switch element {
                case .string(let text), .number(let text): text
                case .bool(let flag): flag ? "true" : "false"
                default: throw .malformedPolicy("Syntax errors in policy.")
                }
            }
        default: throw .malformedPolicy("Syntax errors in policy.")
        }
    }
}

private func isAlphanumeric(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
    default: false
    }
}
