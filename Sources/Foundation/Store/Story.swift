//  What happened to a thing, in order, over all controllers; and what is billed. Both are
//  append-only and written in the transaction that did it.

import Database
import Model

/// One line of a thing's story.
public struct StoryLine: Sendable, Hashable {
    public var at: Instant
    public var source: String
    public var request: String?
    public var text: String
}

extension Reading {
    /// A thing's story, oldest first; the last thousand lines.
    public func story(of kind: Kind, _ thing: Int64) throws(Fault) -> [StoryLine] {
        try rows(
            "SELECT at, source, request, text FROM story WHERE kind = $1 AND thing = $2 ORDER BY number DESC LIMIT 1000",
            [kind.value, thing.value]
        ) { row throws(Fault) in
            StoryLine(at: try row.take(), source: try row.take(), request: try row.take(), text: try row.take())
        }.reversed()
    }
}

extension Writing {
    /// Adds a line to a thing's story. `source` is the controller that tells it.
    public func tell(_ kind: Kind, _ thing: Int64, at: Instant, source: String, request: String? = nil, _ text: String) {
        post(
            "INSERT INTO story (at, kind, thing, source, request, text) VALUES ($1, $2, $3, $4, $5, $6)",
            [at.value, kind.value, thing.value, .text(source), request.value, .text(String(text.prefix(2000)))])
    }

    /// Adds a usage event. `facts` is JSON.
    public func meter(
        _ event: String, _ kind: Kind, _ thing: Int64, account: ID<Account>, zone: ID<Zone>?, at: Instant, facts: String
    ) {
        post(
            "INSERT INTO usage_event (at, account, zone, kind, thing, event, facts) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            [at.value, account.value, zone.value, kind.value, thing.value, .text(event), .text(facts)])
    }
}
