//  STS: who am I?

import Model
import STSModel
import Store

/// The STS service of the face.
struct STSFace: STS.Handlers {
    /// Anyone who can sign may ask; no policy can forbid it, as on AWS.
    func getCallerIdentity(
        _ request: STS.GetCallerIdentityRequest, _ context: Call
    ) async throws(Fault) -> STS.GetCallerIdentityResponse {
        var result = STS.GetCallerIdentityResponse()
        result.userId = context.session.principal.uniqueId
        result.account = context.session.account?.number
        result.arn = context.session.principal.name.description
        return result
    }
}
