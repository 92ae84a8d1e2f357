//  Listings: a page of what lies under a prefix, in the order of the keys, with what lies behind a
//  delimiter rolled up. The rolling up jumps from one common prefix to the next, so that a page costs
//  what it shows and not what it hides.

import Model

/// What listings show: versions of keys, or uploads.
public protocol ListedEntry: Sendable, Hashable {
    /// Tells the entries of one key apart.
    associatedtype Place: Sendable, Hashable

    var key: ObjectKey { get }
    var place: Place { get }
}

/// Which versions of its keys a listing shows.
public enum ListedVersions: Sendable, Hashable {
    /// The current ones that are not delete markers.
    case current
    /// All, and delete markers, the newest of a key first.
    case all
}

/// A run of entries in order.
public struct ListingSlice<Place: Sendable & Hashable>: Sendable, Hashable {
    /// The first key that may come.
    public var from: ObjectKey
    /// Of that key, only what comes after this place; nil: all.
    public var after: Place?
    /// Keys from here on do not come; nil: no end.
    public var upTo: ObjectKey?
    public var limit: Int
}

/// What a listing asks for.
public struct ListingRequest<Entry: ListedEntry>: Sendable, Hashable {
    public var prefix: [UInt8] = []
    /// Empty: nothing is rolled up.
    public var delimiter: [UInt8] = []
    /// Only what comes after this key or common prefix.
    public var after: [UInt8] = []
    /// Of the key that it comes after, also what comes after this place.
    public var afterPlace: Entry.Place?
    public var limit = 1000

    public init() {}
}

/// A page of a listing.
public struct ListingPage<Entry: ListedEntry>: Sendable, Hashable {
    public var entries: [Entry] = []
    public var commonPrefixes: [[UInt8]] = []
    /// Where the next page goes on, if there is more: the last key or common prefix shown.
    public var next: [UInt8]?
    /// The last entry's place, where it was not a common prefix that was shown last.
    public var nextPlace: Entry.Place?

    public init() {}
}

extension ListingRequest {
    /// What follows a page; nil where nothing does.
    public func following(_ page: ListingPage<Entry>) -> ListingRequest? {
        guard let next = page.next else { return nil }
        var request = self
        (request.after, request.afterPlace) = (next, page.nextPlace)
        return request
    }
}

extension ListingPage {
    /// The most entries that are read at once while prefixes are rolled up. One jump tends to follow another,
    /// so that little is read after one, and more for as long as none comes.
    private static var batchMax: Int { 1024 }

    /// Makes a page of what a slice reads, in order.
    init(
        _ request: ListingRequest<Entry>, reading read: (ListingSlice<Entry.Place>) throws(Fault) -> [Entry]
    ) throws(Fault) {
        guard request.limit > 0, var slice = ListingPage.start(of: request) else { return }
        var last: (key: [UInt8], place: Entry.Place?) = ([], nil)
        var batch = request.delimiter.isEmpty ? request.limit + 1 : 2
        while true {
            // One more than is shown tells whether there is more.
            slice.limit = min(request.limit - entries.count - commonPrefixes.count + 1, batch)
            let found = try read(slice)
            var hasJumped = false
            for entry in found {
                if entries.count + commonPrefixes.count == request.limit {
                    (next, nextPlace) = last
                    return
                }
                if let common = request.commonPrefix(of: entry.key.bytes) {
                    commonPrefixes.append(common)
                    last = (common, nil)
                    guard let beyond = successor(of: common) else { return }
                    (slice.from, slice.after) = (ObjectKey(bytes: beyond), nil)
                    hasJumped = true
                    break
                }
                entries.append(entry)
                last = (entry.key.bytes, entry.place)
            }
            if !hasJumped {
                if found.count < slice.limit { return }
                (slice.from, slice.after) = (ObjectKey(bytes: last.key), last.place)
            }
            batch = hasJumped ? 2 : min(batch * 2, ListingPage.batchMax)
        }
    }

    /// Where a page begins; nil when it can show nothing.
    private static func start(of request: ListingRequest<Entry>) -> ListingSlice<Entry.Place>? {
        var slice = ListingSlice<Entry.Place>(
            from: ObjectKey(bytes: request.prefix), after: nil,
            upTo: successor(of: request.prefix).map(ObjectKey.init(bytes:)), limit: 0)
        guard !request.after.isEmpty else { return slice }
        // What was shown as a common prefix is behind with all that lies under it.
        if let common = request.commonPrefix(of: request.after) {
            guard let beyond = successor(of: common) else { return nil }
            slice.from = max(slice.from, ObjectKey(bytes: beyond))
            return slice
        }
        if let place = request.afterPlace, !request.after.lexicographicallyPrecedes(request.prefix) {
            (slice.from, slice.after) = (ObjectKey(bytes: request.after), place)
        } else {
            slice.from = max(slice.from, ObjectKey(bytes: request.after + [0]))
        }
        return slice
    }
}

extension ListingRequest {
    /// The part of a key up to the first delimiter after the prefix, if it has one.
    fileprivate func commonPrefix(of key: [UInt8]) -> [UInt8]? {
        guard !delimiter.isEmpty, key.starts(with: prefix) else { return nil }
        guard let place = key.dropFirst(prefix.count).firstRange(of: delimiter) else { return nil }
        return Array(key[..<place.upperBound])
    }
}

/// The least bytes that are greater than all that begin with `prefix`; nil when there are none.
private func successor(of prefix: [UInt8]) -> [UInt8]? {
    var bytes = prefix
    while let byte = bytes.popLast() {
        if byte < 0xff { return bytes + [byte + 1] }
    }
    return nil
}
