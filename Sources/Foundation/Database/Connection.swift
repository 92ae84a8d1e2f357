//  What a driver's connection does for a transaction, and how far a failure reaches: that is what
//  a savepoint, a repeat and a reconnect are decided by.

import Model

/// A failed statement.
struct Failure: Error {
    enum Reach {
        /// The statement failed; going back to a savepoint lets the transaction go on.
        case statement
        /// The whole transaction is gone and may be tried again (40001, 40P01, SQLite's own rollback).
        case transaction
        /// The connection is gone, and the transaction with it.
        case connection
    }

    var fault: Fault
    var reach: Reach

    init(_ fault: Fault, _ reach: Reach = .statement) {
        self.fault = fault
        self.reach = reach
    }
}

/// One session with a database, used by one thread at a time.
protocol Connection: AnyObject {
    /// Runs a statement and hands over its rows until `each` answers false.
    func query(_ sql: String, _ arguments: [Value], _ each: (inout Row) -> Bool) throws(Failure)
    /// Runs a statement; how many rows it changed.
    func run(_ sql: String, _ arguments: [Value]) throws(Failure) -> Int
    /// Runs a statement without waiting where the engine can; a failure may show at the next wait.
    func post(_ sql: String, _ arguments: [Value]) throws(Failure)
    /// Waits for all that was posted.
    func settle() throws(Failure)
}

extension Value {
    /// Refuses what one of the engines could not hold.
    func check() throws(Failure) {
        switch self {
        case .refused(let fault): throw Failure(fault)
        case .text(let text):
            if text.utf8.contains(0) {
                throw Failure(Fault(.invalidParameter, "A text holds a NUL character, which the store cannot keep."))
            }
        default: break
        }
    }
}
