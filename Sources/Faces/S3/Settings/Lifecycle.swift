//  What becomes of a bucket's objects in time.

import AWSProtocol
import Model
import ObjectStorage
import Objects

enum LifecycleForm: PlainSettingForm {
    static let root = "LifecycleConfiguration"
    static let readAction = ObjectAction.getLifecycle
    static let writeAction = ObjectAction.putLifecycle
    static let part: any WritableKeyPath<BucketSettings, [LifecycleRule]?> & Sendable = \BucketSettings.lifecycle
    static let absence: S3Error? = S3Error(.noSuchLifecycleConfiguration, "The lifecycle configuration does not exist")

    private static let rulesMax = 1000
    private static let idLengthMax = 255

    static func read(_ document: XMLElement) throws -> [LifecycleRule]? {
        let elements = document.all("Rule")
        guard (1...rulesMax).contains(elements.count) else { throw XMLElement.malformed }
        let named = Set(elements.compactMap { $0["ID"]?.text })
        var free = (1...).lazy.map { "rule-\($0)" }.filter { !named.contains($0) }.makeIterator()
        let rules = try elements.map { element in
            try rule(element, id: element["ID"].flatMap { $0.text.isEmpty ? nil : $0.text } ?? free.next() ?? "")
        }
        guard Set(rules.map(\.id)).count == rules.count else {
            throw S3Error.invalidArgument("Rule ID must be unique. Found same ID for more than one rule")
        }
        return rules
    }

    // MARK: Rules

    private static func rule(_ element: XMLElement, id: String) throws -> LifecycleRule {
        guard id.utf16.count <= idLengthMax else {
            throw S3Error.invalidArgument("ID length should not exceed allowed limit of \(idLengthMax)")
        }
        let isEnabled: Bool
        switch element["Status"]?.text {
        case "Enabled": isEnabled = true
        case "Disabled": isEnabled = false
        default: throw XMLElement.malformed
        }
        if element["Transition"] != nil || element["NoncurrentVersionTransition"] != nil {
            throw S3Error.notImplemented("transitions between storage classes")
        }
        var rule = LifecycleRule(id: id, isEnabled: isEnabled, filter: try filter(element))
        rule.expiration = try element["Expiration"].map(expiration)
        if let noncurrent = element["NoncurrentVersionExpiration"] {
            rule.noncurrentDays = try days(noncurrent, "NoncurrentDays")
            guard rule.noncurrentDays != nil else { throw XMLElement.malformed }
            rule.noncurrentKept = try noncurrent.integer("NewerNoncurrentVersions")
            guard (1...100).contains(rule.noncurrentKept ?? 1) else {
                throw S3Error.invalidArgument("NewerNoncurrentVersions must be between 1 and 100")
            }
        }
        if let abort = element["AbortIncompleteMultipartUpload"] {
            rule.abandonedUploadDays = try days(abort, "DaysAfterInitiation")
            guard rule.abandonedUploadDays != nil else { throw XMLElement.malformed }
            guard rule.filter.tags.isEmpty, rule.filter.greaterThan == nil, rule.filter.lessThan == nil else {
                throw S3Error.invalidRequest("AbortIncompleteMultipartUpload cannot be specified with Tags or object sizes.")
            }
        }
        if rule.expiration == .markers || rule.expiration == .notMarkers, !rule.filter.tags.isEmpty {
            throw S3Error.invalidRequest("ExpiredObjectDeleteMarker cannot be specified with Tags.")
        }
        guard rule.expiration != nil || rule.noncurrentDays != nil || rule.abandonedUploadDays != nil else {
            throw S3Error.invalidRequest("At least one action needs to be specified in a rule")
        }
        return rule
    }

    private static func expiration(_ element: XMLElement) throws -> LifecycleRule.Expiration {
        let flag = try element.flag("ExpiredObjectDeleteMarker")
        guard [element["Days"], element["Date"], element["ExpiredObjectDeleteMarker"]].count(where: { $0 != nil }) == 1 else {
            throw XMLElement.malformed
        }
        if let days = try days(element, "Days") { return .days(days) }
        if let flag { return flag ? .markers : .notMarkers }
        guard let date = element["Date"].flatMap({ date($0.text) }) else {
            throw XMLElement.malformed
        }
        guard date.microseconds % (86_400 * 1_000_000) == 0 else {
            throw S3Error.invalidArgument("'Date' must be at midnight GMT")
        }
        return .date(date)
    }

    /// A date, with or without a time.
    private static func date(_ text: String) -> Instant? {
        guard text.utf8.prefix(8).count(where: { $0 == UInt8(ascii: "-") }) == 2 else { return nil }
        return Instant(iso8601: text) ?? Instant(iso8601: text + "T00:00:00Z")
    }

    private static func days(_ element: XMLElement, _ name: String) throws -> Int? {
        guard let days = try element.integer(name) else { return nil }
        guard (1...Int(Int32.max)).contains(days) else {
            throw S3Error.invalidArgument("'\(name)' for the action must be a positive integer")
        }
        return days
    }

    // MARK: Filters

    private static func filter(_ rule: XMLElement) throws -> LifecycleRule.Filter {
        guard let element = rule["Filter"] else {
            guard let prefix = rule["Prefix"] else { throw XMLElement.malformed }
            var filter = LifecycleRule.Filter(form: .prefix)
            filter.prefix = prefix.text
            return filter
        }
        guard rule["Prefix"] == nil, element.children.count <= 1 else { throw XMLElement.malformed }
        let all = element["And"]
        var filter = LifecycleRule.Filter(form: all == nil ? .filter : .and)
        let parts = all ?? element
        guard all == nil || parts.children.count >= 2 else { throw XMLElement.malformed }
        filter.prefix = parts["Prefix"]?.text
        for tag in parts.all("Tag") { try TagSet.add(tag, to: &filter.tags) }
        try ObjectTags.check(filter.tags)
        filter.greaterThan = try size(parts, "ObjectSizeGreaterThan")
        filter.lessThan = try size(parts, "ObjectSizeLessThan")
        if let greater = filter.greaterThan, let less = filter.lessThan, less <= greater {
            throw S3Error.invalidRequest("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
        }
        let known: Set = ["Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan", "And"]
        guard parts.children.allSatisfy({ known.contains($0.name) }) else { throw XMLElement.malformed }
        return filter
    }

    private static func size(_ element: XMLElement, _ name: String) throws -> Int64? {
        guard let size = try element.integer(name) else { return nil }
        guard size >= 0 else { throw S3Error.invalidRequest("'\(name)' cannot be negative.") }
        return Int64(size)
    }

    // MARK: Writing

    static func write(_ value: [LifecycleRule], to out: inout XMLWriter) {
        for rule in value {
            out.open("Rule")
            out.element("ID", rule.id)
            write(rule.filter, to: &out)
            out.element("Status", rule.isEnabled ? "Enabled" : "Disabled")
            if let expiration = rule.expiration {
                out.open("Expiration")
                switch expiration {
                case .days(let days): out.element("Days", days)
                case .date(let date): out.element("Date", date)
                case .markers: out.element("ExpiredObjectDeleteMarker", true)
                case .notMarkers: out.element("ExpiredObjectDeleteMarker", false)
                }
                out.close("Expiration")
            }
            if let days = rule.noncurrentDays {
                out.open("NoncurrentVersionExpiration")
                out.element("NoncurrentDays", days)
                out.element("NewerNoncurrentVersions", rule.noncurrentKept)
                out.close("NoncurrentVersionExpiration")
            }
            if let days = rule.abandonedUploadDays {
                out.open("AbortIncompleteMultipartUpload")
                out.element("DaysAfterInitiation", days)
                out.close("AbortIncompleteMultipartUpload")
            }
            out.close("Rule")
        }
    }

    private static func write(_ filter: LifecycleRule.Filter, to out: inout XMLWriter) {
        if filter.form == .prefix { return out.element("Prefix", filter.prefix ?? "") }
        out.open("Filter")
        if filter.form == .and { out.open("And") }
        out.element("Prefix", filter.prefix)
        for (key, value) in filter.tags.sorted(by: { $0.key < $1.key }) {
            out.open("Tag")
            out.element("Key", key)
            out.element("Value", value)
            out.close("Tag")
        }
        out.element("ObjectSizeGreaterThan", filter.greaterThan.map(Int.init))
        out.element("ObjectSizeLessThan", filter.lessThan.map(Int.init))
        if filter.form == .and { out.close("And") }
        out.close("Filter")
    }
}
