//  Client tokens: a call that is repeated with the same token has the same answer.

import Database
import Model

/// What a token answered.
public struct ClientToken: Sendable, Hashable {
    public var digest: [UInt8]
    public var result: Int64
}

extension Reading {
    /// What a token of this action answered, if it is not yet expired.
    public func clientToken(_ account: ID<Account>, _ action: String, _ token: String, now: Instant) throws(Fault) -> ClientToken? {
        try first(
            "SELECT digest, result FROM client_token WHERE account = $1 AND action = $2 AND token = $3 AND expires > $4",
            [account.value, .text(action), .text(token), now.value]
        ) { row throws(Fault) in ClientToken(digest: try row.take(), result: try row.take()) }
    }
}

extension Writing {
    /// Notes what a token answers from now on.
    public func remember(
        _ account: ID<Account>, _ action: String, _ token: String, digest: [UInt8], result: Int64, expires: Instant
    ) throws(Fault) {
        try run(
            """
            INSERT INTO client_token (account, action, token, digest, result, expires) VALUES ($1, $2, $3, $4, $5, $6)
            ON CONFLICT (account, action, token) DO UPDATE SET digest = $4, result = $5, expires = $6
            """, [account.value, .text(action), .text(token), .blob(digest), result.value, expires.value])
    }
}
