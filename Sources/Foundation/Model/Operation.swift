//  Durable work. The row is the state: which step comes next, what it waits for, until when.

/// One change that takes time. The same row is a Nova instance action and a CloudStack job.
public struct Operation: Identified, Sendable, Hashable {
    public static let kind = Kind.operation

    public var id: ID<Operation>
    public var account: ID<Account>
    public var zone: ID<Zone>?
    /// `instance.launch`, `image.import`, …
    public var kind: String
    public var subjectKind: Kind
    public var subject: Int64
    public var step: String
    public var state: State
    /// Raised by every step; a step commits only over the attempt that it read.
    public var attempt: Int64
    /// How often in a row the present step was refused by something that may pass.
    public var refusals: Int64
    /// When to run without being woken.
    public var due: Instant?
    public var deadline: Instant?
    /// JSON.
    public var inputs: String
    public var fault: String?
    /// The request id of the call that began it.
    public var request: String
    /// ARN of the caller.
    public var principal: String
    public var created: Instant
    public var ended: Instant?

    public init(
        id: ID<Operation>, account: ID<Account>, zone: ID<Zone>?, kind: String, subjectKind: Kind, subject: Int64, step: String,
        state: State, attempt: Int64, refusals: Int64, due: Instant?, deadline: Instant?, inputs: String, fault: String?,
        request: String, principal: String, created: Instant, ended: Instant?
    ) {
        self.id = id
        self.account = account
        self.zone = zone
        self.kind = kind
        self.subjectKind = subjectKind
        self.subject = subject
        self.step = step
        self.state = state
        self.attempt = attempt
        self.refusals = refusals
        self.due = due
        self.deadline = deadline
        self.inputs = inputs
        self.fault = fault
        self.request = request
        self.principal = principal
        self.created = created
        self.ended = ended
    }
}

extension Operation {
    public enum State: String, Sendable, Hashable, Codable { case running, succeeded, failed }
}
