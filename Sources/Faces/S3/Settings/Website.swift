//  A bucket as a website (Amazon S3 API Reference, "PutBucketWebsite").

import AWSProtocol
import ObjectStorage
import Objects

enum WebsiteForm: PlainSettingForm {
    static let root = "WebsiteConfiguration"
    static let readAction = ObjectAction.getBucketWebsite
    static let writeAction = ObjectAction.putBucketWebsite
    static let deleteAction = ObjectAction.deleteBucketWebsite
    static let part: any WritableKeyPath<BucketSettings, Website?> & Sendable = \BucketSettings.website
    static let absence: S3Error? = S3Error(
        .noSuchWebsiteConfiguration, "The specified bucket does not have a website configuration")

    private static let rulesMax = 50

    static func read(_ document: XMLElement) throws -> Website? {
        var site = Website()
        if let everything = document["RedirectAllRequestsTo"] {
            guard ["IndexDocument", "ErrorDocument", "RoutingRules"].allSatisfy({ document[$0] == nil }) else {
                throw S3Error.invalidArgument("RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.")
            }
            var redirect = Website.Redirect()
            guard let host = everything["HostName"]?.text else { throw XMLElement.malformed }
            guard !host.isEmpty else {
                throw S3Error.invalidRequest("A host name must be provided to redirect all requests (e.g. \"example.com\").")
            }
            redirect.host = host
            redirect.scheme = try scheme(everything)
            site.everything = redirect
            return site
        }
        guard let index = document["IndexDocument"] else {
            throw S3Error.invalidArgument("A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty")
        }
        guard let suffix = index["Suffix"]?.text, !suffix.isEmpty, !suffix.contains("/") else {
            throw S3Error.invalidArgument("The IndexDocument Suffix is not well formed")
        }
        site.index = suffix
        if let error = document["ErrorDocument"] {
            guard let key = error["Key"]?.text, !key.isEmpty else { throw XMLElement.malformed }
            site.error = key
        }
        if let rules = document["RoutingRules"] { site.rules = try self.rules(rules.all("RoutingRule")) }
        return site
    }

    private static func rules(_ elements: [XMLElement]) throws -> [Website.Rule] {
        guard !elements.isEmpty else { throw XMLElement.malformed }
        guard elements.count <= rulesMax else {
            throw S3Error.invalidRequest(
                "\(elements.count) routing rules provided, the number of routing rules in a website configuration is limited to "
                    + "\(rulesMax).")
        }
        return try elements.map { element in
            guard let redirect = element["Redirect"] else { throw XMLElement.malformed }
            var rule = Website.Rule(redirect: try self.redirect(redirect))
            guard let condition = element["Condition"] else { return rule }
            rule.keyPrefix = condition["KeyPrefixEquals"]?.text
            rule.errorStatus = try condition.integer("HttpErrorCodeReturnedEquals")
            guard rule.keyPrefix != nil || rule.errorStatus != nil else {
                throw S3Error.invalidRequest(
                    "Condition cannot be empty. To redirect all requests without a condition, the condition element shouldn't be "
                        + "present.")
            }
            if let status = rule.errorStatus, !(400...599).contains(status) {
                throw S3Error.invalidRequest("The provided HTTP error code (\(status)) is not valid. Valid codes are 4XX or 5XX.")
            }
            return rule
        }
    }

    private static func redirect(_ element: XMLElement) throws -> Website.Redirect {
        var redirect = Website.Redirect()
        redirect.scheme = try scheme(element)
        redirect.host = element["HostName"]?.text
        redirect.key = element["ReplaceKeyWith"]?.text
        redirect.keyPrefix = element["ReplaceKeyPrefixWith"]?.text
        redirect.status = try element.integer("HttpRedirectCode")
        guard redirect != Website.Redirect() else { throw XMLElement.malformed }
        guard redirect.key == nil || redirect.keyPrefix == nil else {
            throw S3Error.invalidRequest("You can only define ReplaceKeyPrefix or ReplaceKey but not both.")
        }
        if let status = redirect.status, !(301...399).contains(status) {
            throw S3Error.invalidRequest(
                "The provided HTTP redirect code (\(status)) is not valid. Valid codes are 3XX except 300.")
        }
        return redirect
    }

    private static func scheme(_ element: XMLElement) throws -> String? {
        guard let scheme = element["Protocol"]?.text else { return nil }
        guard scheme == "http" || scheme == "https" else {
            throw S3Error.invalidRequest(
                "Invalid protocol, protocol can be http or https. If not defined the protocol will be selected automatically.")
        }
        return scheme
    }

    static func write(_ value: Website, to out: inout XMLWriter) {
        if let everything = value.everything {
            out.open("RedirectAllRequestsTo")
            out.element("HostName", everything.host)
            out.element("Protocol", everything.scheme)
            out.close("RedirectAllRequestsTo")
            return
        }
        out.open("IndexDocument")
        out.element("Suffix", value.index)
        out.close("IndexDocument")
        if let error = value.error {
            out.open("ErrorDocument")
            out.element("Key", error)
            out.close("ErrorDocument")
        }
        if value.rules.isEmpty { return }
        out.open("RoutingRules")
        for rule in value.rules { write(rule, to: &out) }
        out.close("RoutingRules")
    }

    private static func write(_ rule: Website.Rule, to out: inout XMLWriter) {
        out.open("RoutingRule")
        if rule.keyPrefix != nil || rule.errorStatus != nil {
            out.open("Condition")
            out.element("KeyPrefixEquals", rule.keyPrefix)
            out.element("HttpErrorCodeReturnedEquals", rule.errorStatus)
            out.close("Condition")
        }
        out.open("Redirect")
        out.element("Protocol", rule.redirect.scheme)
        out.element("HostName", rule.redirect.host)
        out.element("ReplaceKeyPrefixWith", rule.redirect.keyPrefix)
        out.element("ReplaceKeyWith", rule.redirect.key)
        out.element("HttpRedirectCode", rule.redirect.status)
        out.close("Redirect")
        out.close("RoutingRule")
    }
}
