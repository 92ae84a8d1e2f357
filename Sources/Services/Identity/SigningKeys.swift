//  Keys for hosts that answer clients themselves: each signs for one day, region and service, so that no secret
//  leaves the controller.

import Authority
import Model

extension IdentityService {
    /// How old a presigned address may be, and how far clocks may be apart, in days.
    private static let signingDays: ClosedRange<Int64> = -8...1
    /// With other keys, a host could call the cloud in its users' names.
    private static let signingServices: Set<String> = ["s3"]

    /// The owner of an access key, with the key that it signs with in a scope; nil when there is none that is active.
    ///
    /// - Throws: `denied` for a scope that no host has a use for.
    public func signer(_ accessKey: String, in scope: SigningScope) async throws(Fault) -> IdentifiedKey? {
        guard IdentityService.signingServices.contains(scope.service) else {
            throw Fault(.denied, "keys are given for s3 only, not for \(scope.service)")
        }
        let now = chance.now()
        let days = IdentityService.signingDays.map { String((now + .seconds($0 * 86_400)).iso8601Basic.prefix(8)) }
        guard days.contains(scope.date) else { throw Fault(.denied, "keys are given for days about today, not for \(scope.date)") }
        guard var known = try await identify(accessKey, signingIn: scope) else { return nil }
        known.secret = known.secret.derived(for: scope)
        return known
    }
}
