//  The canonical request: the one text that both sides hash. Where a URL can be spelled in two ways
//  that mean the same, clients differ in which they sign (botocore signs a query as it stands, the
//  documentation says to decode and encode it); so a few candidates are tried, each of which means
//  exactly what was sent.

import Crypto
import Model

extension SignatureV4 {
    /// Makes canonical requests.
    enum Canonical {
        /// The canonical requests that this request may have been signed as, the documented one first.
        static func requests(
            _ request: Request, signedHeaders: [String], payloadHash: String, pathStyle: PathStyle
        ) -> [String] {
            let headers = headerLines(request, signedHeaders)
            let names = signedHeaders.joined(separator: ";")
            return paths(request.rawPath, pathStyle).flatMap { path in
                queries(request.rawQuery).map { query in
                    "\(request.method)\n\(path)\n\(query)\n\(headers)\n\(names)\n\(payloadHash)"
                }
            }
        }

        /// One line for each signed header; repeated ones are folded, runs of blanks become one space.
        /// One that is absent counts as empty.
        private static func headerLines(_ request: Request, _ signedHeaders: [String]) -> String {
            var lines = ""
            for name in signedHeaders {
                lines += name
                var separator = ":"
                for header in request.headers where Request.isNamed(header.name, name) {
                    lines += separator
                    lines += collapsed(header.value)
                    separator = ","
                }
                lines += separator == ":" ? ":\n" : "\n"
            }
            return lines
        }

        private static func collapsed(_ value: String) -> String {
            guard value.utf8.contains(where: { $0 == 0x20 || $0 == 0x09 }) else { return value }
            let words = value.utf8.split { $0 == 0x20 || $0 == 0x09 }
            return words.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
        }

        static func paths(_ rawPath: String, _ style: PathStyle) -> [String] {
            // Nothing in it could be spelled in another way.
            if style == .asSent, !rawPath.isEmpty, PercentEncoding.isPlain(rawPath.utf8.lazy.filter { $0 != UInt8(ascii: "/") }) {
                return [rawPath]
            }
            let segments = rawPath.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            let reencoded = segments.map { PercentEncoding.encoded(PercentEncoding.decoded($0, plusIsSpace: false)) }
                .joined(separator: "/")
            switch style {
            case .asSent: return unique([rawPath.isEmpty ? "/" : rawPath, reencoded.isEmpty ? "/" : reencoded])
            case .normalized: return unique([encodedOnceMore(rawPath), encodedOnceMore(reencoded)])
            }
        }

        /// Resolves dot segments (RFC 3986, 5.2.4) and empty ones, and encodes what is there.
        private static func encodedOnceMore(_ path: String) -> String {
            var kept: [Substring] = []
            for segment in path.split(separator: "/") where segment != "." {
                if segment == ".." { _ = kept.popLast() } else { kept.append(segment) }
            }
            let text = kept.map { PercentEncoding.encoded(Array($0.utf8)) }.joined(separator: "/")
            return "/\(text)\(path.hasSuffix("/") && !kept.isEmpty ? "/" : "")"
        }

        static func queries(_ rawQuery: String) -> [String] {
            guard !rawQuery.isEmpty else { return [""] }
            let pairs = rawQuery.utf8.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false).map { pair in
                let halves = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
                return (name: halves.first ?? pair, value: halves.count == 2 ? halves[1] : pair.suffix(0))
            }
            // The signature cannot sign itself.
            let signed = pairs.filter { PercentEncoding.decoded($0.name, plusIsSpace: true) != Array("X-Amz-Signature".utf8) }
            let named = signed.filter { !$0.name.isEmpty || !$0.value.isEmpty }
            let documented = joined(
                named.map { pair in
                    // A plus is a space to whoever reads the form, so it is signed as one.
                    (
                        PercentEncoding.encoded(PercentEncoding.decoded(pair.name, plusIsSpace: true)),
                        PercentEncoding.encoded(PercentEncoding.decoded(pair.value, plusIsSpace: true))
                    )
                })
            let asSent = joined(
                signed.map { (String(decoding: $0.name, as: UTF8.self), String(decoding: $0.value, as: UTF8.self)) })
            return unique([documented, asSent])
        }

        private static func joined(_ pairs: [(String, String)]) -> String {
            pairs.sorted { $0.0 == $1.0 ? before($0.1, $1.1) : before($0.0, $1.0) }.map { "\($0)=\($1)" }.joined(separator: "&")
        }

        /// The order of bytes; Swift's own order of strings is Unicode's.
        private static func before(_ left: String, _ right: String) -> Bool { left.utf8.lexicographicallyPrecedes(right.utf8) }

        private static func unique(_ texts: [String]) -> [String] {
            texts.enumerated().filter { place, text in !texts[..<place].contains { $0.utf8.elementsEqual(text.utf8) } }.map(
                \.element)
        }
    }
}
