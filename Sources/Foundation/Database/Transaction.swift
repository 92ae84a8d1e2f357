//  What a closure is handed: `Reading` in a read, `Writing` in a write. Neither is Sendable, so the
//  compiler keeps them inside the closure. A failed statement closes the transaction on both
//  engines alike, as PostgreSQL does; only a savepoint opens it again.

import Model

/// A snapshot of the store, inside one closure.
public class Reading {
    enum State {
        case open
        /// A statement failed: nothing runs until a savepoint is rolled back, and nothing commits.
        case failed(Fault)
        /// The transaction or its connection is gone.
        case doomed(Failure)
    }

    /// More rows than this are refused: lists are read in pages.
    public static let rowsMax = 1_000_000

    let connection: any Connection
    var state = State.open

    init(_ connection: any Connection) { self.connection = connection }

    /// The rows of a query. `$1`…`$n` in its text stand for the arguments.
    public final func rows<T>(
        _ sql: String, _ arguments: [Value] = [], _ make: (inout Row) throws(Fault) -> T
    ) throws(Fault) -> [T] {
        var made: [T] = []
        try walk(sql, arguments) { row throws(Fault) in
            guard made.count < Reading.rowsMax else {
                throw Fault(.tooLarge, "More than \(Reading.rowsMax) rows were asked for at once.")
            }
            made.append(try make(&row))
            return true
        }
        return made
    }

    /// Goes through the rows of a query until `visit` says that it wants no more of them.
    public final func walk(
        _ sql: String, _ arguments: [Value] = [], _ visit: (inout Row) throws(Fault) -> Bool
    ) throws(Fault) {
        var refused: Fault?
        try attempt { () throws(Failure) in
            try connection.query(sql, arguments) { row in
                do throws(Fault) { return try visit(&row) } catch {
                    refused = error
                    return false
                }
            }
        }
        if let refused { throw refused }
    }

    /// The first row of a query. The text should say LIMIT 1 or name a key.
    public final func first<T>(
        _ sql: String, _ arguments: [Value] = [], _ make: (inout Row) throws(Fault) -> T
    ) throws(Fault) -> T? {
        var made: T?
        try walk(sql, arguments) { row throws(Fault) in
            made = try make(&row)
            return false
        }
        return made
    }

    /// The only column of the first row; nil without a row.
    public final func value<C: Column>(_ sql: String, _ arguments: [Value] = [], as _: C.Type = C.self) throws(Fault) -> C? {
        try first(sql, arguments) { row throws(Fault) in try row.take(C.self) }
    }

    /// The only column of all rows.
    public final func values<C: Column>(_ sql: String, _ arguments: [Value] = [], as _: C.Type = C.self) throws(Fault) -> [C] {
        try rows(sql, arguments) { row throws(Fault) in try row.take(C.self) }
    }

    /// The number that a `SELECT count(*) …` answers.
    public final func count(_ sql: String, _ arguments: [Value] = []) throws(Fault) -> Int {
        try value(sql, arguments, as: Int.self) ?? 0
    }

    /// Whether a query has a row.
    public final func exists(_ sql: String, _ arguments: [Value] = []) throws(Fault) -> Bool {
        try first(sql, arguments) { _ throws(Fault) in true } ?? false
    }

    /// Faults if the transaction is closed by an earlier failure.
    final func check() throws(Fault) {
        if let failure { throw failure }
    }

    /// The failure that closed the transaction, which counts more than what a closure made of it.
    final var failure: Fault? {
        switch state {
        case .open: nil
        case .failed(let fault): fault
        case .doomed(let failure): failure.fault
        }
    }

    final func attempt<T>(_ statement: () throws(Failure) -> T) throws(Fault) -> T {
        try check()
        do throws(Failure) {
            return try statement()
        } catch {
            fail(error)
            throw error.fault
        }
    }

    final func fail(_ failure: Failure) {
        if case .doomed = state { return }
        state = failure.reach == .statement ? .failed(failure.fault) : .doomed(failure)
    }
}

/// A transaction, inside one closure that may run more than once.
public final class Writing: Reading {
    /// What the transaction says to the change feed.
    private(set) var changes: [Change] = []

    /// Runs a statement; how many rows it changed.
    @discardableResult
    public func run(_ sql: String, _ arguments: [Value] = []) throws(Fault) -> Int {
        try attempt { () throws(Failure) in try connection.run(sql, arguments) }
    }

    /// Runs a statement whose count nobody needs, without waiting for it where the engine can
    /// (PostgreSQL sends it along with the next). A failure shows at the next wait: the next `run`
    /// or query, the end of the savepoint, or the commit.
    public func post(_ sql: String, _ arguments: [Value] = []) {
        guard case .open = state else { return }
        do throws(Failure) { try connection.post(sql, arguments) } catch { fail(error) }
    }

    /// Waits for all that was posted, so that its failure shows here.
    public func settle() throws(Fault) {
        try attempt { () throws(Failure) in try connection.settle() }
    }

    /// Runs `body` so that its fault undoes what it did and nothing else; the fault is thrown on,
    /// and who catches it may go on with the transaction.
    @discardableResult
    public func savepoint<T>(_ body: () throws(Fault) -> T) throws(Fault) -> T {
        // What was posted before belongs to the transaction and not to the savepoint.
        try settle()
        let announced = changes.count
        post("SAVEPOINT karri")
        do throws(Fault) {
            let result = try body()
            try run("RELEASE SAVEPOINT karri")
            return result
        } catch {
            changes.removeSubrange(announced...)
            try back()
            throw error
        }
    }

    /// Goes back to the last savepoint and opens the transaction again, unless it is gone.
    private func back() throws(Fault) {
        // What is still under way is undone anyway; only a failure that dooms the transaction counts.
        do throws(Failure) { try connection.settle() } catch { fail(error) }
        if case .doomed(let failure) = state { throw failure.fault }
        do throws(Failure) {
            _ = try connection.run("ROLLBACK TO SAVEPOINT karri", [])
            _ = try connection.run("RELEASE SAVEPOINT karri", [])
        } catch {
            state = .doomed(Failure(error.fault, error.reach == .connection ? .connection : .transaction))
            throw error.fault
        }
        state = .open
    }

    /// Announces a change of a row in the change feed, in this transaction. `zone` and `account`
    /// let readers pass over what is not theirs.
    public func changed(_ table: String, _ id: Int64, account: Int64? = nil, zone: Int64? = nil) {
        changes.append(Change(table: table, id: id, account: account, zone: zone, sequence: 0))
    }
}
