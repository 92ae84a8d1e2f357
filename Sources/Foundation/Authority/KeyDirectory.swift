//  Who access keys belong to, as a face asks it: identity knows it of a cloud, a local file of a service
//  that runs alone.

import Model

/// Finds the owners of access keys.
public protocol KeyDirectory: Sendable {
    /// The owner of an access key; nil when there is none that is active.
    ///
    /// - Parameter scope: What a signature of Version 4 states; nil: the whole secret is needed.
    /// - Throws: `notSupported` where whole secrets are not to be had.
    func identify(_ accessKey: String, signingIn scope: SigningScope?) async throws(Fault) -> IdentifiedKey?
}

/// What a key is checked with, and who it then is.
public struct IdentifiedKey: Sendable {
    public var accessKey: String
    public var secret: SigningSecret
    public var principal: Principal
    public var policies: [PolicyDocument]

    public init(accessKey: String, secret: SigningSecret, principal: Principal, policies: [PolicyDocument]) {
        self.accessKey = accessKey
        self.secret = secret
        self.principal = principal
        self.policies = policies
    }

    /// The session of a caller whose signature was verified.
    public func session(_ circumstances: Circumstances) -> Session {
        Session(of: principal, identity: policies, accessKey: accessKey, circumstances: circumstances)
    }
}
