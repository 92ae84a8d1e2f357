//  How versions are written: `null`, or sixteen hex digits.

import Model
import ObjectStorage

extension VersionID {
    var spelled: String { self == .null ? "null" : hexDigits(bits) }

    /// - Throws: `InvalidArgument` for what no version can be called.
    init(spelled text: String) throws(S3Error) {
        if text == "null" {
            self = .null
            return
        }
        guard text.utf8.count == 16, let bits = UInt64(text, radix: 16), bits != 0 else {
            throw S3Error("InvalidArgument", "Invalid version id specified")
        }
        self.init(bits: bits)
    }
}
