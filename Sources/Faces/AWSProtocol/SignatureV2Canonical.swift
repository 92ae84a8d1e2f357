//  The string to sign of Signature Version 2. Clients differ in how they spell the signed parameters of
//  a query (decoded, as sent, with or without the equals sign of an empty value) and a path's escapes;
//  so a few candidates are tried, each of which means exactly what was sent.

import Model

extension SignatureV2 {
    /// The texts that a request may have been signed as, the documented one first.
    ///
    /// - Parameter bucket: The bucket that the Host header names, where the path does not.
    static func stringsToSign(_ request: Request, _ claim: Claim, bucket: String?) -> [String] {
        let parameters = QueryParameter.all(request.rawQuery)
        let moved = claim.movedHeaders(of: request)
        let head =
            [request.method, values("content-md5", request, moved), values("content-type", request, moved), claim.dateLine]
            .map { "\($0)\n" }.joined() + amazonHeaders(request.headers + moved)
        let root = bucket.map { "/\($0)" } ?? ""
        return paths(request.rawPath).flatMap { path in
            queries(parameters).map { query in "\(head)\(root)\(path)\(query)" }
        }
    }

    /// A bucket may be signed with the slash that its name would have before a key (botocore does).
    private static func paths(_ rawPath: String) -> [String] {
        let paths = SignatureV4.Canonical.paths(rawPath, .asSent)
        let isBucket = rawPath.utf8.count > 1 && rawPath.utf8.count { $0 == UInt8(ascii: "/") } == 1
        return isBucket ? paths + paths.map { "\($0)/" } : paths
    }

    /// The fields of `x-amz-` names, one line each, sorted; repeated ones are joined with commas.
    private static func amazonHeaders(_ headers: [(name: String, value: String)]) -> String {
        var values: [String: [String]] = [:]
        for header in headers {
            let name = header.name.lowercased()
            if name.hasPrefix("x-amz-") { values[name, default: []].append(unfolded(header.value)) }
        }
        let lines = values.map { (name: $0.key, value: $0.value.joined(separator: ",")) }
        return lines.sorted { precedes($0.name, $1.name) }.map { "\($0.name):\($0.value)\n" }.joined()
    }

    private static func values(_ name: String, _ request: Request, _ moved: [(name: String, value: String)]) -> String {
        (request.values(name) + moved.filter { $0.name == name }.map(\.value)).map(unfolded).joined(separator: ",")
    }

    /// Without the blanks around it, and with one space for a line's fold.
    private static func unfolded(_ value: String) -> String {
        value.utf8.split { $0 == 0x0a || $0 == 0x0d }.map { line in
            let begun = line.drop { $0 == 0x20 || $0 == 0x09 }
            let end = begun.lastIndex { $0 != 0x20 && $0 != 0x09 }
            return String(decoding: end.map { begun[...$0] } ?? [], as: UTF8.self)
        }.filter { !$0.isEmpty }.joined(separator: " ")
    }

    private static func queries(_ parameters: [QueryParameter]) -> [String] {
        let signed = parameters.enumerated().filter { signedParameters.contains($0.element.name) }
            .sorted { $0.element.name == $1.element.name ? $0.offset < $1.offset : precedes($0.element.name, $1.element.name) }
            .map(\.element)
        guard !signed.isEmpty else { return [""] }
        let spellings: [(QueryParameter) -> String] = [
            { parameter in parameter.value.map { $0.isEmpty ? parameter.name : "\(parameter.name)=\($0)" } ?? parameter.name },
            { parameter in parameter.value.map { "\(parameter.name)=\($0)" } ?? parameter.name },
            \.raw,
        ]
        return spellings.map { spelling in "?" + signed.map(spelling).joined(separator: "&") }
    }

    /// The order of bytes; Swift's own order of strings is Unicode's.
    private static func precedes(_ left: String, _ right: String) -> Bool { left.utf8.lexicographicallyPrecedes(right.utf8) }
}

extension SignatureV2.Claim {
    /// The headers that the maker of a presigned request signed and put into its query, with names in
    /// lower case. One that the request has as a header too is not among them.
    public func movedHeaders(of request: SignatureV2.Request) -> [(name: String, value: String)] {
        guard case .query = form else { return [] }
        return QueryParameter.headers(movedFrom: request) { name in
            name.hasPrefix("x-amz-") || name == "content-md5" || name == "content-type"
        }
    }
}
