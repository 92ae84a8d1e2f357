//  What the metadata service answers to a request, as AWS does: methods, tokens, errors, headers.
//  Pure: a request, the guest that its source address belongs to, and the time make an answer.

import Model

/// A request without its body, which no part of the service looks at.
struct MetadataRequest: Sendable {
    var method: String
    /// The request line's target as sent.
    var target: String
    /// Name and value as sent.
    var headers: [(name: String, value: String)]

    /// The value of a header that was sent once; names are compared without case.
    func header(_ name: String) -> String? {
        let values = headers.filter { $0.name.lowercased() == name }
        return values.count == 1 ? values.first?.value : nil
    }

    func has(_ name: String) -> Bool { headers.contains { $0.name.lowercased() == name } }
}

struct MetadataResponse: Sendable, Equatable {
    var status: Int
    var headers: [String: String] = [:]
    var body: [UInt8] = []
    /// The IP TTL of this response and all after it on its connection: the guest's hop limit.
    var hopLimit: Int?
}

struct MetadataResponder: Sendable {
    let settings: EdgeSettings
    let tokens: MetadataTokens

    static let tokenPath = "/latest/api/token"
    static let tokenHeader = "x-aws-ec2-metadata-token"
    static let lifetimeHeader = "x-aws-ec2-metadata-token-ttl-seconds"

    /// Answers a request from `entry`'s guest; nil stands for an address that no guest is known to have,
    /// and learns nothing: neither that there is a thing nor, before its guest is known, that there is none.
    func respond(
        to request: MetadataRequest, from entry: DomainTable.Entry?, in domain: DomainTable?, now: Instant, random: UInt64
    ) -> MetadataResponse {
        guard let entry, let domain else { return failure(503) }
        let options = entry.guest.options
        guard options.endpointEnabled else { return failure(403) }
        guard let path = MetadataPath(request.target) else { return failure(400) }
        let aboutToken = path.text == MetadataResponder.tokenPath
        switch request.method {
        case "PUT" where aboutToken: return token(request, guest: entry.guest, domain: domain, now: now, random: random)
        case "GET" where !aboutToken, "HEAD" where !aboutToken:
            return read(path, request, guest: entry.guest, domain: domain, now: now)
        default:
            var refusal = failure(405)
            refusal.headers["Allow"] = aboutToken ? "OPTIONS, PUT" : "GET, HEAD, OPTIONS"
            return refusal
        }
    }

    /// A forwarding proxy inside the guest must not be a way to a token.
    private func token(
        _ request: MetadataRequest, guest: EdgeGuest, domain: DomainTable, now: Instant, random: UInt64
    ) -> MetadataResponse {
        guard !request.has("x-forwarded-for") else { return failure(403) }
        guard let text = request.header(MetadataResponder.lifetimeHeader), text.utf8.count <= 5,
            text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let seconds = Int(text),
            MetadataTokens.lifetimeSeconds.contains(seconds)
        else { return failure(400) }
        let token = tokens.issue(guest: guest.id, domain: domain.domain.id, lifetimeSeconds: seconds, now: now, random: random)
        return MetadataResponse(
            status: 200, headers: ["Content-Type": "text/plain", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds": text],
            body: Array(token.utf8), hopLimit: min(max(guest.options.hopLimit, 1), 64))
    }

    private func read(
        _ path: MetadataPath, _ request: MetadataRequest, guest: EdgeGuest, domain: DomainTable, now: Instant
    ) -> MetadataResponse {
        var headers = ["Accept-Ranges": "none"]
        if request.has(MetadataResponder.tokenHeader) {
            guard let token = request.header(MetadataResponder.tokenHeader),
                let remaining = tokens.remainingSeconds(token, guest: guest.id, domain: domain.domain.id, now: now)
            else { return failure(401) }
            headers["X-Aws-Ec2-Metadata-Token-Ttl-Seconds"] = String(remaining)
        } else if guest.options.tokensRequired {
            return failure(401)
        }
        let tree = MetadataTree(guest: guest, domain: domain, settings: settings).root
        guard let node = tree.node(at: path.parts[...]) else { return failure(404) }
        headers["Content-Type"] = path.parts.count > 1 && path.parts[1] == "user-data" ? "application/octet-stream" : "text/plain"
        return MetadataResponse(status: 200, headers: headers, body: node.content)
    }

    /// AWS's error page.
    func failure(_ status: Int) -> MetadataResponse {
        let title = "\(status) - \(MetadataResponder.reasons[status] ?? "Error")"
        let page = """
            <?xml version="1.0" encoding="iso-8859-1"?>
            <!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
            \t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
            <html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">
             <head>
              <title>\(title)</title>
             </head>
             <body>
              <h1>\(title)</h1>
             </body>
            </html>

            """
        return MetadataResponse(status: status, headers: ["Content-Type": "text/html"], body: Array(page.utf8))
    }

    private static let reasons = [
        400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
        413: "Request Entity Too Large", 503: "Service Unavailable",
    ]
}

/// The path of a request's target: decoded, split, and without empty parts, since clients put slashes
/// behind leaves (botocore) and twice (old cloud-init).
struct MetadataPath: Sendable, Equatable {
    var parts: [String]
    var text: String { "/" + parts.joined(separator: "/") }

    static let lengthMax = 1024

    /// - Returns: Nil for what is no path: too long, not beginning with a slash (an absolute URL is
    ///   cut to its path), a bad escape, bytes that are not UTF-8 text, or `.` and `..`.
    init?(_ target: String) {
        guard target.utf8.count <= MetadataPath.lengthMax else { return nil }
        var path = target[...]
        if path.lowercased().hasPrefix("http://") {
            let rest = path.dropFirst(7)
            path = rest.firstIndex(of: "/").map { rest[$0...] } ?? "/"
        }
        guard path.utf8.first == UInt8(ascii: "/") else { return nil }
        path = path.prefix { $0 != "?" && $0 != "#" }
        var parts: [String] = []
        for part in path.utf8.split(separator: UInt8(ascii: "/")) {
            guard let bytes = MetadataPath.decode(part), let text = String(validating: bytes, as: UTF8.self), text != ".",
                text != "..", !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f })
            else { return nil }
            parts.append(text)
        }
        self.parts = parts
    }

    private static func decode(_ part: Substring.UTF8View) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = part
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap({ hexValue($0) }), let low = rest.popFirst().flatMap({ hexValue($0) }) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? { UInt8(String(UnicodeScalar(byte)), radix: 16) }
}
