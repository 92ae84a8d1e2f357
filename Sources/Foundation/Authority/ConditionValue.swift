//  The facts about a call that a policy's conditions look at.

import Model

/// The value of one condition key: one text, or a list of them. Policies compare texts; numbers,
/// dates, and addresses are written as IAM writes them.
public struct ConditionValue: Sendable, Hashable {
    public var texts: [String]

    public init(texts: [String]) { self.texts = texts }

    public static func text(_ text: String) -> ConditionValue { ConditionValue(texts: [text]) }
    public static func texts(_ texts: [String]) -> ConditionValue { ConditionValue(texts: texts) }
    public static func flag(_ flag: Bool) -> ConditionValue { .text(flag ? "true" : "false") }
    public static func number(_ number: some BinaryInteger) -> ConditionValue { .text(String(number)) }
    public static func instant(_ instant: Instant) -> ConditionValue { .text(instant.iso8601) }
    public static func name(_ name: ResourceName) -> ConditionValue { .text(name.description) }
}

extension ConditionValue: ExpressibleByStringLiteral {
    public init(stringLiteral text: String) { self.init(texts: [text]) }
}

/// What the face knows of one call: the global condition keys that depend on it.
public struct Circumstances: Sendable, Hashable {
    /// `aws:CurrentTime`, `aws:EpochTime`; also decides whether the session has expired.
    public var now: Instant
    /// `aws:SourceIp`, in text.
    public var sourceAddress: String?
    /// `aws:SecureTransport`
    public var secureTransport: Bool
    /// `aws:UserAgent`
    public var userAgent: String?
    /// `aws:RequestedRegion`
    public var region: String?

    public init(
        now: Instant, sourceAddress: String? = nil, secureTransport: Bool = false, userAgent: String? = nil, region: String? = nil
    ) {
        self.now = now
        self.sourceAddress = sourceAddress
        self.secureTransport = secureTransport
        self.userAgent = userAgent
        self.region = region
    }
}

/// All condition keys of one call. Keys are compared without regard to case. What the call states
/// itself comes first; the global keys of principal and circumstances cannot be overridden by it.
public struct PolicyContext: Sendable {
    /// The value of a key in lower case that the call states.
    private var stated: @Sendable (String) -> ConditionValue?
    private var principal: Principal?
    private var circumstances: Circumstances?

    public init(_ stated: [String: ConditionValue] = [:], principal: Principal? = nil, circumstances: Circumstances? = nil) {
        let values = Dictionary(stated.map { ($0.key.lowercased(), $0.value) }) { first, _ in first }
        self.init(stating: { values[$0] }, principal: principal, circumstances: circumstances)
    }

    /// - Parameter stated: What the call states of a key in lower case; asked only for what policies look at.
    public init(
        stating stated: @escaping @Sendable (_ key: String) -> ConditionValue?, principal: Principal? = nil,
        circumstances: Circumstances? = nil
    ) {
        self.stated = stated
        self.principal = principal
        self.circumstances = circumstances
    }

    /// The value of a key in lower case; nil where the key is absent or its list is empty.
    func value(_ key: String) -> ConditionValue? {
        let value = global(key) ?? stated(key)
        return value.flatMap { $0.texts.isEmpty ? nil : $0 }
    }

    private func global(_ key: String) -> ConditionValue? {
        guard key.hasPrefix("aws:") else { return nil }
        switch key {
        case "aws:username": return principal?.userName.map(ConditionValue.text)
        case "aws:userid": return (principal?.uniqueId).map(ConditionValue.text)
        case "aws:principalarn": return (principal?.policyName).map(ConditionValue.name)
        case "aws:principalaccount": return (principal?.account?.number).map(ConditionValue.text)
        case "aws:principaltype": return (principal?.typeWord).map(ConditionValue.text)
        case "aws:currenttime": return (circumstances?.now).map(ConditionValue.instant)
        case "aws:epochtime": return (circumstances?.now).map { .number($0.microseconds / 1_000_000) }
        case "aws:sourceip": return circumstances?.sourceAddress.map(ConditionValue.text)
        case "aws:securetransport": return (circumstances?.secureTransport).map(ConditionValue.flag)
        case "aws:useragent": return circumstances?.userAgent.map(ConditionValue.text)
        case "aws:requestedregion": return circumstances?.region.map(ConditionValue.text)
        default: return nil
        }
    }
}
