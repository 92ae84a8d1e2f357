//  Which pages of other origins may ask what of a bucket (Fetch Standard, "CORS protocol").

import AWSProtocol
import HTTPTypes
import Hummingbird
import ObjectStorage
import Objects

enum CORSForm: PlainSettingForm {
    static let root = "CORSConfiguration"
    static let readAction = ObjectAction.getBucketCORS
    static let writeAction = ObjectAction.putBucketCORS
    static let part: any WritableKeyPath<BucketSettings, [CORSRule]?> & Sendable = \BucketSettings.cors
    static let absence: S3Error? = S3Error(.noSuchCORSConfiguration, "The CORS configuration does not exist")

    private static let rulesMax = 100
    fileprivate static let methods: Set<String> = ["GET", "PUT", "POST", "DELETE", "HEAD"]

    static func read(_ document: XMLElement) throws -> [CORSRule]? {
        let rules = document.all("CORSRule")
        guard (1...rulesMax).contains(rules.count) else { throw XMLElement.malformed }
        return try rules.map(rule)
    }

    private static func rule(_ element: XMLElement) throws -> CORSRule {
        var rule = CORSRule()
        rule.id = element["ID"]?.text
        rule.origins = element.all("AllowedOrigin").map(\.text)
        rule.methods = element.all("AllowedMethod").map(\.text)
        rule.headers = element.all("AllowedHeader").map(\.text)
        rule.exposed = element.all("ExposeHeader").map(\.text)
        rule.secondsMax = try element.integer("MaxAgeSeconds")
        guard !rule.origins.isEmpty, !rule.methods.isEmpty else { throw XMLElement.malformed }
        if let method = rule.methods.first(where: { !methods.contains($0) }) {
            throw S3Error.invalidRequest("Found unsupported HTTP method in CORS config. Unsupported method is \(method)")
        }
        for pattern in rule.origins + rule.headers where pattern.utf8.count(where: { $0 == UInt8(ascii: "*") }) > 1 {
            throw S3Error.invalidRequest("AllowedOrigin \"\(pattern)\" can not have more than one wildcard.")
        }
        if let header = rule.exposed.first(where: { $0.contains("*") }) {
            throw S3Error.invalidRequest(
                "ExposeHeader \"\(header)\" contains wildcard. We currently do not support wildcard for ExposeHeader.")
        }
        return rule
    }

    static func write(_ value: [CORSRule], to out: inout XMLWriter) {
        for rule in value {
            out.open("CORSRule")
            out.element("ID", rule.id)
            for header in rule.headers { out.element("AllowedHeader", header) }
            for method in rule.methods { out.element("AllowedMethod", method) }
            for origin in rule.origins { out.element("AllowedOrigin", origin) }
            for header in rule.exposed { out.element("ExposeHeader", header) }
            out.element("MaxAgeSeconds", rule.secondsMax)
            out.close("CORSRule")
        }
    }
}

extension CORSRule {
    /// Whether it lets a page of an origin send a method with headers.
    func allows(origin: String, method: String, headers: [String]) -> Bool {
        methods.contains(method) && origins.contains { CORSRule.matches(origin, $0) }
            && headers.allSatisfy { header in self.headers.contains { CORSRule.matches(header.lowercased(), $0.lowercased()) } }
    }

    /// - Parameter pattern: With at most one `*`, for any run of characters.
    private static func matches(_ text: String, _ pattern: String) -> Bool {
        let parts = pattern.split(separator: "*", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return text == pattern }
        return text.utf8.count >= parts[0].utf8.count + parts[1].utf8.count && text.hasPrefix(parts[0]) && text.hasSuffix(parts[1])
    }

    /// What a page of an origin is told.
    ///
    /// - Parameter headers: Those that it asked for beforehand; nil in the answer to the call itself.
    func answer(to origin: String, headers asked: [String]?) -> HTTPFields {
        var fields = HTTPFields()
        let isOpen = origins.contains("*")
        fields[.accessControlAllowOrigin] = isOpen ? "*" : origin
        if !isOpen { fields[.accessControlAllowCredentials] = "true" }
        fields[.accessControlAllowMethods] = methods.joined(separator: ", ")
        if let asked, !asked.isEmpty { fields[.accessControlAllowHeaders] = asked.joined(separator: ", ").lowercased() }
        if !exposed.isEmpty { fields[.accessControlExposeHeaders] = exposed.joined(separator: ", ") }
        if let secondsMax { fields[.accessControlMaxAge] = String(secondsMax) }
        fields[.vary] = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
        return fields
    }
}

extension S3Responder {
    /// Answers a browser that asks whether a page may make a call; nobody signs that.
    func preflight(_ bucket: String, _ request: Request) async throws -> Response {
        guard let origin = request.headers[.origin] else {
            throw S3Error(.badRequest, "Insufficient information. Origin request header needed.")
        }
        let asked = request.headers[.accessControlRequestMethod]
        guard let method = asked, CORSForm.methods.contains(method) else {
            throw S3Error(.badRequest, "Invalid Access-Control-Request-Method: \(asked ?? "null")")
        }
        let headers = (request.headers[.accessControlRequestHeaders] ?? "").split(separator: ",").map { trimmed($0) }
        guard let rules = try await objects.corsRules(of: bucket) else {
            throw S3Error(.accessForbidden, "CORSResponse: CORS is not enabled for this bucket.")
        }
        guard let rule = rules.first(where: { $0.allows(origin: origin, method: method, headers: headers) }) else {
            throw S3Error(
                .accessForbidden,
                "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, request method "
                    + "/ Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec."
            )
        }
        return Response(status: .ok, headers: rule.answer(to: origin, headers: headers))
    }

    /// What the page behind a call is told, where the bucket's rules let it call.
    func corsFields(_ bucket: String, _ request: Request) async -> HTTPFields {
        // What is asked beforehand has its own answer, or a refusal that tells the page nothing.
        guard request.method != .options, let origin = request.headers[.origin],
            let rules = try? await objects.corsRules(of: bucket)
        else { return [:] }
        // A page may say which method it asks for, as it does beforehand.
        let method = request.headers[.accessControlRequestMethod] ?? request.method.rawValue
        let rule = rules.first { $0.allows(origin: origin, method: method, headers: []) }
        return rule?.answer(to: origin, headers: nil) ?? [:]
    }
}
