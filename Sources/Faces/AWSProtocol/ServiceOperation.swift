//  From the `Action` parameter to an operation that the generated code knows.

import Model

extension Query {
    /// The operation that the caller names.
    ///
    /// - Parameter all: The generated enumeration of the service's operations.
    /// - Throws: `unknownAction` in the original's words if the service has no such operation, `missingParameter` if
    ///   the request names none.
    public func operation<Operation: RawRepresentable<String>>(among all: Operation.Type) throws(Fault) -> Operation {
        guard let action, !action.isEmpty else { throw missing("Action") }
        guard let operation = Operation(rawValue: action) else {
            throw Fault(.unknownAction, "The action \(brief(action)) is not valid for this web service.")
        }
        return operation
    }
}
