//  Calls that change something are taken once: who overhears one cannot have it done again within the
//  quarter of an hour for which its signature is good.

import AWSProtocol
import Model
import Synchronization

/// Remembers the signatures of changing calls.
final class ReplayGuard: Sendable {
    private let window: Mutex<SignatureV4.ReplayWindow>

    init(grace: Duration) { window = Mutex(SignatureV4.ReplayWindow(grace: grace)) }

    /// Notes a signature; false where it was used before.
    func admits(_ verified: SignatureV4.Verified, now: Instant) -> Bool { window.withLock { $0.admits(verified, now: now) } }

    /// Whether an operation changes anything, by EC2's own naming.
    static func changes(_ operation: String) -> Bool {
        !["Describe", "Get", "List", "Search"].contains { operation.hasPrefix($0) }
    }
}
