//  Quotas: only an account that has a limit has a counter.

import Database
import Model

extension Writing {
    /// Counts `amount` of a resource for an account.
    ///
    /// - Throws: `.limitExceeded` when the account's limit would be passed.
    public func charge(_ resource: String, _ amount: Int64, to account: ID<Account>) throws(Fault) {
        let charged = try run(
            "UPDATE quota SET used = used + $3 WHERE account = $1 AND resource = $2 AND used + $3 <= maximum",
            [account.value, .text(resource), amount.value])
        if charged == 0, try exists("SELECT 1 FROM quota WHERE account = $1 AND resource = $2", [account.value, .text(resource)]) {
            let kind: Kind? = resource == "groups" ? .group : ["instances", "processors"].contains(resource) ? .instance : nil
            throw Fault(.limitExceeded, "The account's limit of \(resource) is reached.", kind: kind)
        }
    }

    /// Takes back what `charge` counted.
    public func discharge(_ resource: String, _ amount: Int64, from account: ID<Account>) throws(Fault) {
        try run(
            "UPDATE quota SET used = CASE WHEN used < $3 THEN 0 ELSE used - $3 END WHERE account = $1 AND resource = $2",
            [account.value, .text(resource), amount.value])
    }

    /// Sets an account's limit; what it uses now is counted by the caller.
    public func limit(_ resource: String, to maximum: Int64, used: Int64, for account: ID<Account>) throws(Fault) {
        try run(
            """
            INSERT INTO quota (account, resource, used, maximum) VALUES ($1, $2, $3, $4)
            ON CONFLICT (account, resource) DO UPDATE SET maximum = $4
            """, [account.value, .text(resource), used.value, maximum.value])
    }
}
