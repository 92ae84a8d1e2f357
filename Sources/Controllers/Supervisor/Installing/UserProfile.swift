//  Makes `aws --profile karri` work for the person who started the cloud, by a profile in the files
//  that every AWS tool reads.

import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// What a profile of the AWS tools says.
public struct UserProfile: Sendable, Hashable {
    public var name: String
    public var endpoint: String
    public var region: String
    public var accessKey: String
    public var secretKey: String
    /// The file with the certificate that the endpoint's follows from; nil for what the system trusts.
    public var trusted: String?

    public init(
        name: String = "karri", endpoint: String, region: String, accessKey: String, secretKey: String, trusted: String? = nil
    ) {
        self.name = name
        self.endpoint = endpoint
        self.region = region
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.trusted = trusted
    }

    /// Writes the profile into `~/.aws/config` and its keys into `~/.aws/credentials`, with the
    /// user's rights. All else in the files stays byte for byte; `credentials` becomes 0600.
    ///
    /// - Throws: `Fault.invalidParameter` for a value that no line can hold; `Fault.storage`.
    public func write(for user: CallingUser) throws(Fault) {
        for value in [name, endpoint, region, accessKey, secretKey, trusted ?? "-"] {
            guard !value.isEmpty, value.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7f && $0 != "]" }) else {
                throw Fault(.invalidParameter, "a profile's values are words")
            }
        }
        let (config, credentials) = (UserProfile.configSection(name), name)
        try user.reachingFiles { () throws(Fault) in
            try UserProfile.makeFolder(user)
            try UserProfile.edit(user, "credentials", mode: 0o600) { text in
                text.set([("aws_access_key_id", accessKey), ("aws_secret_access_key", secretKey)], in: credentials)
            }
            try UserProfile.edit(user, "config", mode: nil) { text in
                text.set([("endpoint_url", endpoint), ("region", region), ("ca_bundle", trusted)], in: config)
            }
        }
    }

    /// Removes the profile of that name from both files.
    public static func remove(_ name: String = "karri", for user: CallingUser) throws(Fault) {
        try user.reachingFiles { () throws(Fault) in
            try edit(user, "credentials", mode: nil) { $0.remove(name) }
            try edit(user, "config", mode: nil) { $0.remove(configSection(name)) }
        }
    }

    /// The AWS tools' spelling of a profile's section in `config`.
    private static func configSection(_ name: String) -> String { name == "default" ? name : "profile \(name)" }

    private static func makeFolder(_ user: CallingUser) throws(Fault) {
        let folder = "\(user.home)/.aws"
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
            throw Fault(.storage, "could not make \(folder): \(systemError())")
        }
    }

    /// - Parameter mode: The file's mode from now on; nil keeps it, a new file being 0600.
    private static func edit(
        _ user: CallingUser, _ name: String, mode: UInt32?, _ change: (inout ProfileText) -> Void
    ) throws(Fault) {
        let named = "\(user.home)/.aws/\(name)"
        let path = resolved(named)
        let before = try AtomicFile.read(path, limit: 4 << 20)
        var text = ProfileText(before ?? [])
        change(&text)
        let after = text.bytes
        var facts = stat()
        let kept: UInt32 = stat(path, &facts) == 0 ? UInt32(facts.st_mode & 0o777) : 0o600
        guard after != before ?? [] || (before != nil && mode ?? kept != kept) else { return }
        if after.isEmpty, path == named {
            // Nothing but the profile was in it. The folder goes too where nothing else is.
            unlink(path)
            rmdir("\(user.home)/.aws")
        } else {
            try AtomicFile.write(after, to: path, mode: mode ?? kept)
        }
    }

    /// Where a link leads, so that the file behind it is replaced and not the link.
    private static func resolved(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }
}
