//  What a call says that policies may ask about (Service Authorization Reference, "Condition keys for
//  Amazon S3").

import Authority
import Hummingbird

/// The condition keys of one call.
struct S3Conditions: Sendable {
    let request: Request
    let query: S3Query
    /// `REST-HEADER`, `REST-QUERY-STRING` or `POST`.
    let authType: String?
    let signatureVersion: String?

    /// - Parameter key: In lower case.
    func value(of key: String) -> ConditionValue? {
        if key == "aws:referer" { return header("referer") }
        guard key.hasPrefix("s3:") else { return nil }
        let name = String(key.dropFirst(3))
        switch name {
        case "prefix", "delimiter", "max-keys": return query[name].map(ConditionValue.text)
        case "versionid": return query["versionId"].map(ConditionValue.text)
        case "authtype": return authType.map(ConditionValue.text)
        case "signatureversion": return signatureVersion.map(ConditionValue.text)
        case "object-lock-mode", "object-lock-retain-until-date", "object-lock-legal-hold": return header("x-amz-\(name)")
        case "if-match", "if-none-match": return header(name)
        case "requestobjecttagkeys": return .texts(Array(requestTags.keys))
        default:
            if name.hasPrefix("x-amz-") { return header(name) }
            let tag = "requestobjecttag/"
            guard name.hasPrefix(tag) else { return nil }
            // Keys of conditions are compared without regard to case.
            return requestTags.first { $0.key.lowercased() == name.dropFirst(tag.utf8.count) }.map { .text($0.value) }
        }
    }

    private func header(_ name: String) -> ConditionValue? { request.header(name).map(ConditionValue.text) }

    private var requestTags: [String: String] {
        request.header("x-amz-tagging").flatMap { try? TagSet.read(header: $0) } ?? [:]
    }
}
