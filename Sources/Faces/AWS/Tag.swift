//  Tags: set, removed, listed, and read from the calls that make things.

import Compute
import EC2Model
import Model
import Store

extension EC2Face {
    func createTags(_ request: EC2.CreateTagsRequest, _ context: EC2Call) async throws(Fault) {
        let tags = try TagReading.new(request.tags).sorted { $0.key < $1.key }.map { (key: $0.key, value: $0.value) }
        guard !tags.isEmpty else { throw Fault(.missingParameter, "The request must contain the parameter Tag") }
        try await compute.tag(resources(request.resources), tags, by: context.call)
    }

    func deleteTags(_ request: EC2.DeleteTagsRequest, _ context: EC2Call) async throws(Fault) {
        let tags = try (request.tags ?? []).map { tag throws(Fault) in
            guard let key = tag.key else { throw Fault(.invalidParameter, "Tag key cannot be empty") }
            return (key: key, value: tag.value)
        }
        try await compute.untag(resources(request.resources), tags, by: context.call)
    }

    private func resources(_ texts: [String]?) throws(Fault) -> [AnyID] {
        guard let texts, !texts.isEmpty else { throw Fault(.missingParameter, "The request must contain the parameter ResourceId") }
        guard texts.count <= AWSID.idsMax else {
            throw Fault(.invalidParameter, "The request names more than \(AWSID.idsMax) resources")
        }
        return try texts.map { text throws(Fault) in try AWSID.parse(resource: text) }
    }

    func describeTags(_ request: EC2.DescribeTagsRequest, _ context: EC2Call) async throws(Fault) -> EC2.DescribeTagsResult {
        let filter = try RowFilter(request.filters, TagReading.filters)
        let paging = try Paging(max: request.maxResults, token: request.nextToken, context)
        let page: (rows: [Tag], next: String?)
        if let ids = filter.exact("resource-id") {
            // Another's id, or none, has no tags; a list is no place for an error.
            let things = ids.compactMap { id in try? AWSID.parse(resource: id) }
            page = try await paging.collect(
                compute.tags(of: things, by: context.call), place: TagReading.place, passes: filter.passes)
        } else {
            page = try await paging.collect(place: TagReading.place, passes: filter.passes) { after, limit throws(Fault) in
                try await compute.tags(after: TagReading.after(after), limit: limit, by: context.call)
            }
        }
        var result = EC2.DescribeTagsResult()
        result.tags = page.rows.map { tag in
            var shown = EC2.TagDescription()
            shown.key = tag.key
            shown.value = tag.value
            shown.resourceId = AWSID.shown(AnyID(kind: tag.kind, stored: tag.thing))
            shown.resourceType = AWSID.resourceType(tag.kind)
            return shown
        }
        result.nextToken = page.next
        return result
    }
}

/// Tags as calls give them.
enum TagReading {
    /// The tags of a new thing, checked.
    static func new(_ tags: [EC2.Tag]?) throws(Fault) -> [String: String] {
        var read: [String: String] = [:]
        for tag in tags ?? [] {
            let key = tag.key ?? ""
            let value = tag.value ?? ""
            if let problem = ComputeService.problem(key: key, value: value) { throw Fault(.invalidParameter, problem) }
            guard read.updateValue(value, forKey: key) == nil else { throw duplicate(key) }
        }
        guard read.count <= ComputeService.tagsMax else {
            throw Fault(.tooManyTags, "You have reached the maximum of \(ComputeService.tagsMax) tags per resource.")
        }
        return read
    }

    /// The tags of a call that makes one kind of thing.
    static func new(_ specifications: [EC2.TagSpecification]?, for type: String) throws(Fault) -> [String: String] {
        var all: [EC2.Tag] = []
        for specification in specifications ?? [] {
            guard specification.resourceType == type else {
                throw Fault(
                    .invalidParameter,
                    "'\(specification.resourceType ?? "")' is not a valid taggable resource type for this operation.")
            }
            all += specification.tags ?? []
        }
        return try new(all)
    }

    static func duplicate(_ key: String) -> Fault { Fault(.invalidParameter, "Duplicate tag key '\(key)' specified.") }

    static let filters = FilterTable<Tag>(
        [
            "key": { [$0.key] },
            "value": { [$0.value] },
            "resource-id": { [AWSID.shown(AnyID(kind: $0.kind, stored: $0.thing))] },
            "resource-type": { [AWSID.resourceType($0.kind)] },
        ], tags: { [$0] })

    /// A tag's place in the list's order: kind, thing, key. No kind's word has a space.
    static let place: @Sendable (Tag) -> String = { tag in
        "\(tag.kind.rawValue) \(hexDigits(UInt64(bitPattern: tag.thing))) \(tag.key)"
    }

    static func after(_ place: String?) -> (kind: String, thing: Int64, key: String) {
        let parts = (place ?? "").split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, let id = ID<Instance>(hex: parts[1]) else { return ("", .min, "") }
        return (String(parts[0]), id.stored, String(parts[2]))
    }
}
