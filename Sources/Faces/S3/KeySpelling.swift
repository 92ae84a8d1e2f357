//  Keys as listings write them.

import AWSProtocol

/// How keys are written in XML, which in version 1.0 cannot carry every character.
struct KeySpelling {
    let areEncoded: Bool

    init(_ query: S3Query) throws(S3Error) {
        let asked = query["encoding-type"]
        guard asked == nil || asked == "url" else {
            throw S3Error.invalidArgument("Invalid Encoding Method specified in Request")
        }
        areEncoded = asked != nil
    }

    func spelled(_ key: [UInt8]) -> String {
        areEncoded ? PercentEncoding.encoded(key, keepsSlashes: true) : String(decoding: key, as: UTF8.self)
    }
}
