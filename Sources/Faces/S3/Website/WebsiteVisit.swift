//  What a website does with a request, apart from doing it (Amazon S3 User Guide, "Hosting a static website
//  using Amazon S3": index documents, error documents, redirects).

import ObjectStorage

/// A request for a page of a bucket's website.
struct WebsiteVisit: Sendable, Hashable {
    enum Step: Sendable, Hashable {
        /// Answer with this object; where it cannot be had, ask what follows the refusal.
        case read(ObjectKey)
        case redirect(to: String, status: Int)
        /// Answer with this object under the refusal's status.
        case errorDocument(ObjectKey)
        /// Answer with a page that the store writes itself.
        case errorPage
    }

    let site: Website
    /// As the visitor has it: `http` or `https`.
    let scheme: String
    /// As the visitor has it, with its port.
    let host: String
    let key: ObjectKey
    /// Without the question mark.
    let query: String

    /// - Parameters:
    ///   - path: As sent.
    ///   - query: As sent, without the question mark.
    init(site: Website, scheme: String, host: String, path: String, query: String) {
        self.site = site
        self.scheme = scheme
        self.host = host
        self.query = query
        key = ObjectKey(bytes: S3Query.decoded(path.utf8.dropFirst(), plusIsSpace: false))
    }

    /// What is done before anything is looked for.
    var beginning: Step {
        if let everything = site.everything { return redirect(everything, replacing: nil) }
        if let rule = rule(for: nil) { return redirect(rule.redirect, replacing: rule.keyPrefix) }
        return .read(namesFolder ? index(of: key) : key)
    }

    /// The document that makes a folder of what the visitor has left the slash from; nil where it is there.
    var folderIndex: ObjectKey? { namesFolder ? nil : index(of: ObjectKey(bytes: key.bytes + [UInt8(ascii: "/")])) }

    /// Where a visitor is sent to who has left the slash from a folder.
    var folder: Step { .redirect(to: "/\(key.path)/\(shownQuery)", status: 302) }

    /// What is done where the object cannot be had.
    func step(afterRefusal status: Int) -> Step {
        if let rule = rule(for: status) { return redirect(rule.redirect, replacing: rule.keyPrefix) }
        guard let error = site.error, (400...499).contains(status) else { return .errorPage }
        return .errorDocument(ObjectKey(error))
    }

    private var namesFolder: Bool { key.bytes.last.map { $0 == UInt8(ascii: "/") } ?? true }

    private func index(of folder: ObjectKey) -> ObjectKey { ObjectKey(bytes: folder.bytes + Array((site.index ?? "").utf8)) }

    /// The first rule that holds.
    ///
    /// - Parameter status: The refusal's; nil before anything is looked for.
    private func rule(for status: Int?) -> Website.Rule? {
        site.rules.first { $0.errorStatus == status && key.bytes.starts(with: ($0.keyPrefix ?? "").utf8) }
    }

    private func redirect(_ redirect: Website.Redirect, replacing prefix: String?) -> Step {
        var target = redirect.key.map { ObjectKey($0) } ?? key
        if let replacement = redirect.keyPrefix {
            target = ObjectKey(bytes: Array(replacement.utf8) + key.bytes.dropFirst((prefix ?? "").utf8.count))
        }
        let address =
            "\(redirect.scheme ?? scheme)://\(redirect.host ?? host)/\(target.path)\(shownQuery)"
        return .redirect(to: address, status: redirect.status ?? 301)
    }

    private var shownQuery: String { query.isEmpty ? "" : "?\(query)" }
}
