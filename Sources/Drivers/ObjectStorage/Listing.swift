//  Listings: a page of keys under a prefix, with what lies behind a delimiter rolled up. The rolling up
//  jumps from one common prefix to the next, so that a page costs what it shows and not what it hides.

import Model

/// A run of keys in order.
public struct ListingSlice: Sendable, Hashable {
    /// The first key that may come.
    public var from: ObjectKey
    /// Keys from here on do not come; nil: no end.
    public var upTo: ObjectKey?
    public var limit: Int

    public init(from: ObjectKey, upTo: ObjectKey?, limit: Int) {
        self.from = from
        self.upTo = upTo
        self.limit = limit
    }

    /// Where keys that begin with `prefix` end; nil: nowhere.
    public static func end(of prefix: [UInt8]) -> ObjectKey? { successor(of: prefix).map(ObjectKey.init(bytes:)) }

    /// The least bytes that are greater than all that begin with `prefix`; nil when there are none.
    static func successor(of prefix: [UInt8]) -> [UInt8]? {
        var bytes = prefix
        while let byte = bytes.popLast() {
            if byte < 0xff { return bytes + [byte + 1] }
        }
        return nil
    }
}

/// What a listing asks for.
public struct ListingRequest: Sendable, Hashable {
    public var prefix: [UInt8] = []
    /// Empty: nothing is rolled up.
    public var delimiter: [UInt8] = []
    /// Only what comes after this key or common prefix.
    public var after: [UInt8] = []
    public var limit = 1000

    public init() {}
}

/// A page of a listing.
public struct ListingPage: Sendable, Hashable {
    public var objects: [ListedObject] = []
    public var commonPrefixes: [[UInt8]] = []
    /// Where the next page goes on, if there is more: the last key or common prefix shown.
    public var next: [UInt8]?

    public init() {}
}

extension ObjectBackend {
    /// How many keys are read at once while prefixes are rolled up.
    private static var batch: Int { 128 }

    /// A page of a bucket's current objects.
    public func list(_ request: ListingRequest, of bucket: Bucket) async throws(Fault) -> ListingPage {
        var page = ListingPage()
        guard request.limit > 0 else { return page }
        let end = ListingSlice.end(of: request.prefix)
        guard var from = start(of: request) else { return page }
        var last: [UInt8] = []
        while true {
            let left = request.limit - page.objects.count - page.commonPrefixes.count
            // One more than is shown tells whether there is more.
            let limit = request.delimiter.isEmpty ? left + 1 : min(left + 1, Self.batch)
            let found = try await self.page(ListingSlice(from: from, upTo: end, limit: limit), of: bucket)
            var jump: ObjectKey?
            for object in found {
                if page.objects.count + page.commonPrefixes.count == request.limit {
                    page.next = last
                    return page
                }
                if let common = commonPrefix(of: object.key.bytes, request) {
                    page.commonPrefixes.append(common)
                    last = common
                    guard let beyond = ListingSlice.successor(of: common) else { return page }
                    jump = ObjectKey(bytes: beyond)
                    break
                }
                page.objects.append(object)
                last = object.key.bytes
            }
            if let jump {
                from = jump
            } else if found.count < limit {
                return page
            } else {
                from = ObjectKey(bytes: last + [0])
            }
        }
    }

    /// The first key that a page may show; nil when there can be none.
    private func start(of request: ListingRequest) -> ObjectKey? {
        guard !request.after.isEmpty else { return ObjectKey(bytes: request.prefix) }
        var from = request.after + [0]
        // What was shown as a common prefix is behind with all that lies under it.
        if let common = commonPrefix(of: request.after, request) {
            guard let beyond = ListingSlice.successor(of: common) else { return nil }
            from = beyond
        }
        return ObjectKey(bytes: from.lexicographicallyPrecedes(request.prefix) ? request.prefix : from)
    }

    /// The part of a key up to the first delimiter after the prefix, if it has one.
    private func commonPrefix(of key: [UInt8], _ request: ListingRequest) -> [UInt8]? {
        guard !request.delimiter.isEmpty, key.starts(with: request.prefix) else { return nil }
        guard let place = key.dropFirst(request.prefix.count).firstRange(of: request.delimiter) else { return nil }
        return Array(key[..<place.upperBound])
    }
}
