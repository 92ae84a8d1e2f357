//  Versions as clients name them.

import ObjectStorage

extension VersionID {
    /// - Throws: `InvalidArgument` for what no version can be called.
    init(asked text: String) throws(S3Error) {
        guard let version = VersionID(spelled: text) else {
            throw S3Error.invalidArgument("Invalid version id specified")
        }
        self = version
    }
}
