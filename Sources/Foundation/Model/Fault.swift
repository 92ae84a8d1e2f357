//  The one error type. A code says what went wrong in the core's words, a message says it to a
//  person, and each face maps (code, kind) to its own dialect in one table.

/// An error with a code that programs act on and a message that people read.
public struct Fault: Error, Sendable, Hashable, CustomStringConvertible {
    public var code: Code
    /// One sentence for the caller. It names the caller's own things and never a secret.
    public var message: String
    /// The kind of thing that the fault is about, where a face's wording depends on it.
    public var kind: Kind?
    /// The thing that the fault is about, where one is known; a face spells its id.
    public var subject: AnyID?
    /// Further things that it is about in the same way, where a call named several.
    public var others: [AnyID] = []
    /// What a face may show besides, by names that the service and the face agree on.
    public var facts: [String: String] = [:]
    /// What lay beneath, for the log; never shown to a tenant.
    public var cause: String?

    public init(_ code: Code, _ message: String, kind: Kind? = nil, cause: String? = nil) {
        self.code = code
        self.message = message
        self.kind = kind
        self.cause = cause
    }

    /// Something that does not exist, or not for this caller.
    public init(missing thing: AnyID) {
        self.init(.notFound, "The \(thing.kind.rawValue) \(hexDigits(thing.bits)) does not exist.", kind: thing.kind)
        subject = thing
    }

    /// Several things of a kind that do not exist, or not for this caller; at least one.
    public init(missing things: [AnyID], kind: Kind) {
        self.init(.notFound, "The \(kind.rawValue) does not exist.", kind: kind)
        subject = things.first
        others = Array(things.dropFirst())
    }

    /// The same fault about a named thing.
    public func about(_ thing: AnyID) -> Fault {
        var fault = self
        fault.kind = thing.kind
        fault.subject = thing
        return fault
    }

    /// A fault that wraps an error of some other library.
    public init(_ code: Code, _ message: String, because error: any Error) {
        self.init(code, message, cause: String(describing: error))
    }

    public var description: String {
        let about = kind.map { " \($0.rawValue)" } ?? ""
        return "\(code.rawValue)\(about): \(message)\(cause.map { " (\($0))" } ?? "")"
    }
}

extension Fault {
    /// What went wrong. New codes may be added; a face maps one that it does not know to its
    /// internal error.
    public struct Code: RawRepresentable, Sendable, Hashable {
        public var rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }

        // The call.
        public static let invalidParameter = Code(rawValue: "invalidParameter")
        public static let missingParameter = Code(rawValue: "missingParameter")
        public static let conflictingParameters = Code(rawValue: "conflictingParameters")
        public static let unknownParameter = Code(rawValue: "unknownParameter")
        public static let unknownAction = Code(rawValue: "unknownAction")
        public static let malformedRequest = Code(rawValue: "malformedRequest")
        public static let malformedId = Code(rawValue: "malformedId")
        public static let notSupported = Code(rawValue: "notSupported")
        public static let tooLarge = Code(rawValue: "tooLarge")
        public static let rateExceeded = Code(rawValue: "rateExceeded")
        public static let tokenMismatch = Code(rawValue: "tokenMismatch")
        public static let dryRun = Code(rawValue: "dryRun")
        public static let pageToken = Code(rawValue: "pageToken")

        // Who calls.
        public static let notAuthenticated = Code(rawValue: "notAuthenticated")
        public static let signatureMismatch = Code(rawValue: "signatureMismatch")
        public static let expired = Code(rawValue: "expired")
        public static let denied = Code(rawValue: "denied")
        /// What is another's and shared is used, not changed.
        public static let notOwner = Code(rawValue: "notOwner")

        // The things.
        public static let notFound = Code(rawValue: "notFound")
        public static let alreadyExists = Code(rawValue: "alreadyExists")
        public static let inUse = Code(rawValue: "inUse")
        public static let wrongState = Code(rawValue: "wrongState")
        public static let `protected` = Code(rawValue: "protected")
        public static let limitExceeded = Code(rawValue: "limitExceeded")
        public static let tooManyTags = Code(rawValue: "tooManyTags")
        public static let preconditionFailed = Code(rawValue: "preconditionFailed")
        public static let noCapacity = Code(rawValue: "noCapacity")
        public static let noAddress = Code(rawValue: "noAddress")
        public static let badImage = Code(rawValue: "badImage")

        // The cloud itself.
        public static let conflict = Code(rawValue: "conflict")
        public static let unavailable = Code(rawValue: "unavailable")
        public static let timedOut = Code(rawValue: "timedOut")
        public static let cancelled = Code(rawValue: "cancelled")
        public static let driver = Code(rawValue: "driver")
        public static let storage = Code(rawValue: "storage")
        public static let diskIsFull = Code(rawValue: "diskIsFull")
        public static let internalError = Code(rawValue: "internalError")
    }
}
