//  Work that a backend has and that no call waits for. The backend says when there is some; who runs the
//  store does it in rounds, so that an operator sees it, pauses it and slows it down like all other work.

import Model

/// One kind of such work.
public protocol BackgroundWork: Sendable {
    var name: String { get }
    /// Gives an element when there is something to do since the last was taken. It is iterated once.
    var wakes: AsyncStream<Void> { get }
    /// The least time from the end of one round to the beginning of the next.
    var rest: Duration { get }

    /// Does what there is to do. Rounds of one work do not run side by side.
    ///
    /// - Returns: What was done, for people.
    func round(_ progress: any WorkProgress) async throws(Fault) -> String
}

/// Where work that is being done says how far it is, and is held up.
public protocol WorkProgress: Sendable {
    /// Returns once the work may go on.
    ///
    /// - Throws: `cancelled` when it is to be left.
    func step(_ text: String) async throws(Fault)
}
