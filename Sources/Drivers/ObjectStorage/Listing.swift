//  Listings: a page of keys under a prefix, with what lies behind a delimiter rolled up. The rolling up
//  jumps from one common prefix to the next, so that a page costs what it shows and not what it hides.

import Model

/// A run of keys in order.
public struct ListingSlice: Sendable, Hashable {
    /// The first key that may come.
    public var from: ObjectKey
    /// Of that key, only versions before this sequence; nil: all.
    public var before: UInt64?
    /// Keys from here on do not come; nil: no end.
    public var upTo: ObjectKey?
    public var limit: Int

    public init(from: ObjectKey, before: UInt64? = nil, upTo: ObjectKey?, limit: Int) {
        self.from = from
        self.before = before
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
    /// Of the key that it comes after, also the versions before this sequence.
    public var afterSequence: UInt64?
    /// Whether all versions are shown, and delete markers.
    public var showsVersions = false
    public var limit = 1000

    public init() {}
}

/// A page of a listing.
public struct ListingPage: Sendable, Hashable {
    public var objects: [ListedObject] = []
    public var commonPrefixes: [[UInt8]] = []
    /// Where the next page goes on, if there is more: the last key or common prefix shown.
    public var next: [UInt8]?
    /// Of the last key, the last version shown, where versions are.
    public var nextSequence: UInt64?

    public init() {}
}

extension ListingPage {
    /// The most keys that are read at once while prefixes are rolled up. One jump tends to follow another,
    /// so that little is read after one, and more for as long as none comes.
    private static let batchMax = 1024

    /// Makes a page of what a slice of the keys reads, in order.
    init(_ request: ListingRequest, reading read: (ListingSlice) throws(Fault) -> [ListedObject]) throws(Fault) {
        guard request.limit > 0, let start = ListingPage.start(of: request) else { return }
        var slice = ListingSlice(
            from: start.key, before: start.before, upTo: ListingSlice.end(of: request.prefix), limit: 0)
        var last: (key: [UInt8], sequence: UInt64?) = ([], nil)
        var batch = request.delimiter.isEmpty ? request.limit + 1 : 2
        while true {
            // One more than is shown tells whether there is more.
            slice.limit = min(request.limit - objects.count - commonPrefixes.count + 1, batch)
            let found = try read(slice)
            var hasJumped = false
            for object in found {
                if objects.count + commonPrefixes.count == request.limit {
                    (next, nextSequence) = last
                    return
                }
                if let common = ListingPage.commonPrefix(of: object.key.bytes, request) {
                    commonPrefixes.append(common)
                    last = (common, nil)
                    guard let beyond = ListingSlice.successor(of: common) else { return }
                    (slice.from, slice.before) = (ObjectKey(bytes: beyond), nil)
                    hasJumped = true
                    break
                }
                objects.append(object)
                last = (object.key.bytes, request.showsVersions ? object.sequence : nil)
            }
            if !hasJumped {
                if found.count < slice.limit { return }
                slice.from = ObjectKey(bytes: request.showsVersions ? last.key : last.key + [0])
                slice.before = last.sequence
            }
            batch = hasJumped ? 2 : min(batch * 2, ListingPage.batchMax)
        }
    }

    /// The first key that a page may show; nil when there can be none.
    private static func start(of request: ListingRequest) -> (key: ObjectKey, before: UInt64?)? {
        guard !request.after.isEmpty else { return (ObjectKey(bytes: request.prefix), nil) }
        // What was shown as a common prefix is behind with all that lies under it.
        if let common = commonPrefix(of: request.after, request) {
            guard let beyond = ListingSlice.successor(of: common) else { return nil }
            return (ObjectKey(bytes: later(beyond, request.prefix)), nil)
        }
        if let sequence = request.afterSequence, !request.after.lexicographicallyPrecedes(request.prefix) {
            return (ObjectKey(bytes: request.after), sequence)
        }
        return (ObjectKey(bytes: later(request.after + [0], request.prefix)), nil)
    }

    private static func later(_ left: [UInt8], _ right: [UInt8]) -> [UInt8] { left.lexicographicallyPrecedes(right) ? right : left }

    private static func commonPrefix(of key: [UInt8], _ request: ListingRequest) -> [UInt8]? {
        commonPrefix(of: key, after: request.prefix, request.delimiter)
    }

    /// The part of a key up to the first delimiter after the prefix, if it has one.
    public static func commonPrefix(of key: [UInt8], after prefix: [UInt8], _ delimiter: [UInt8]) -> [UInt8]? {
        guard !delimiter.isEmpty, key.starts(with: prefix) else { return nil }
        guard let place = key.dropFirst(prefix.count).firstRange(of: delimiter) else { return nil }
        return Array(key[..<place.upperBound])
    }
}
