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

extension ListingPage {
    /// The most keys that are read at once while prefixes are rolled up. One jump tends to follow another,
    /// so that little is read after one, and more for as long as none comes.
    private static let batchMax = 1024

    /// Makes a page of what a slice of the keys reads, in order.
    init(_ request: ListingRequest, reading read: (ListingSlice) throws(Fault) -> [ListedObject]) throws(Fault) {
        guard request.limit > 0, var from = ListingPage.start(of: request) else { return }
        let end = ListingSlice.end(of: request.prefix)
        var last: [UInt8] = []
        var batch = request.delimiter.isEmpty ? request.limit + 1 : 2
        while true {
            // One more than is shown tells whether there is more.
            let limit = min(request.limit - objects.count - commonPrefixes.count + 1, batch)
            let found = try read(ListingSlice(from: from, upTo: end, limit: limit))
            var jump: ObjectKey?
            for object in found {
                if objects.count + commonPrefixes.count == request.limit {
                    next = last
                    return
                }
                if let common = ListingPage.commonPrefix(of: object.key.bytes, request) {
                    commonPrefixes.append(common)
                    last = common
                    guard let beyond = ListingSlice.successor(of: common) else { return }
                    jump = ObjectKey(bytes: beyond)
                    break
                }
                objects.append(object)
                last = object.key.bytes
            }
            if jump == nil, found.count < limit { return }
            from = jump ?? ObjectKey(bytes: last + [0])
            batch = jump == nil ? min(batch * 2, ListingPage.batchMax) : 2
        }
    }

    /// The first key that a page may show; nil when there can be none.
    private static func start(of request: ListingRequest) -> ObjectKey? {
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
    private static func commonPrefix(of key: [UInt8], _ request: ListingRequest) -> [UInt8]? {
        guard !request.delimiter.isEmpty, key.starts(with: request.prefix) else { return nil }
        guard let place = key.dropFirst(request.prefix.count).firstRange(of: request.delimiter) else { return nil }
        return Array(key[..<place.upperBound])
    }
}
