//  Which Swift types a column can hold, and as what. One conformance serves both engines and both
//  directions, so that what is written is what is read.

import FoundationEssentials
import Model

/// A type that a column can hold.
public protocol Column: Sendable {
    /// The column's type, for an absent value too.
    static var type: ValueType { get }
    var value: Value { get }
    /// Reads the row's next column. Faults with `.storage` when it does not hold such a value.
    static func take(_ row: inout Row) throws(Fault) -> Self
}

extension Int64: Column {
    public static var type: ValueType { .integer }
    public var value: Value { .integer(self) }
    public static func take(_ row: inout Row) throws(Fault) -> Int64 { try row.takeInteger() }
}

extension Int: Column {
    public static var type: ValueType { .integer }
    public var value: Value { .integer(Int64(self)) }
    public static func take(_ row: inout Row) throws(Fault) -> Int { Int(try row.takeInteger()) }
}

extension Bool: Column {
    public static var type: ValueType { .bool }
    public var value: Value { .bool(self) }
    public static func take(_ row: inout Row) throws(Fault) -> Bool { try row.takeBool() }
}

extension String: Column {
    public static var type: ValueType { .text }
    public var value: Value { .text(self) }
    public static func take(_ row: inout Row) throws(Fault) -> String { try row.takeText() }
}

extension [UInt8]: Column {
    public static var type: ValueType { .blob }
    public var value: Value { .blob(self) }
    public static func take(_ row: inout Row) throws(Fault) -> [UInt8] { try row.takeBlob() }
}

extension Optional: Column where Wrapped: Column {
    public static var type: ValueType { Wrapped.type }
    public var value: Value { self?.value ?? .absent(Wrapped.type) }
    public static func take(_ row: inout Row) throws(Fault) -> Wrapped? { try row.takeNull() ? nil : try Wrapped.take(&row) }
}

extension ID: Column {
    public static var type: ValueType { .integer }
    public var value: Value { .integer(stored) }
    public static func take(_ row: inout Row) throws(Fault) -> ID { ID(stored: try row.takeInteger()) }
}

extension Instant: Column {
    public static var type: ValueType { .integer }
    /// Microseconds since 1970 UTC.
    public var value: Value { .integer(microseconds) }
    public static func take(_ row: inout Row) throws(Fault) -> Instant { Instant(microseconds: try row.takeInteger()) }
}

extension ByteCount: Column {
    public static var type: ValueType { .integer }
    public var value: Value { .integer(bytes) }
    public static func take(_ row: inout Row) throws(Fault) -> ByteCount { ByteCount(try row.takeInteger()) }
}

extension IPv4Address: Column {
    public static var type: ValueType { .integer }
    public var value: Value { .integer(Int64(bits)) }
    public static func take(_ row: inout Row) throws(Fault) -> IPv4Address {
        let number = try row.takeInteger()
        guard let bits = UInt32(exactly: number) else { throw unreadable("an IPv4 address", String(number)) }
        return IPv4Address(bits: bits)
    }
}

extension MACAddress: Column {
    public static var type: ValueType { .integer }
    public var value: Value { .integer(Int64(bits)) }
    public static func take(_ row: inout Row) throws(Fault) -> MACAddress {
        let number = try row.takeInteger()
        guard let bits = UInt64(exactly: number), bits <= 0xffff_ffff_ffff else {
            throw unreadable("a MAC address", String(number))
        }
        return MACAddress(bits: bits)
    }
}

extension IPv4Prefix: Column {
    public static var type: ValueType { .text }
    public var value: Value { .text(description) }
    public static func take(_ row: inout Row) throws(Fault) -> IPv4Prefix {
        let text = try row.takeText()
        guard let prefix = IPv4Prefix(text) else { throw unreadable("an IPv4 prefix", text) }
        return prefix
    }
}

/// An enumeration of words is a column once it says `: String, Column`.
extension Column where Self: RawRepresentable, RawValue == String {
    public static var type: ValueType { .text }
    public var value: Value { .text(rawValue) }
    public static func take(_ row: inout Row) throws(Fault) -> Self {
        let word = try row.takeText()
        guard let known = Self(rawValue: word) else { throw unreadable("one of \(Self.self)", word) }
        return known
    }
}

/// A document that no query looks into, kept as JSON text with sorted keys.
public struct JSON<Document: Codable & Sendable>: Column {
    public var document: Document

    public init(_ document: Document) { self.document = document }

    public static var type: ValueType { .text }

    public var value: Value {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return .text(String(decoding: try encoder.encode(document), as: UTF8.self))
        } catch {
            return .refused(Fault(.internalError, "A \(Document.self) cannot be stored.", because: error))
        }
    }

    public static func take(_ row: inout Row) throws(Fault) -> JSON { try JSON(text: try row.takeText()) }

    /// Reads the text of a stored document.
    public init(text: String) throws(Fault) {
        do {
            self.init(try JSONDecoder().decode(Document.self, from: Data(text.utf8)))
        } catch {
            throw Fault(.storage, "A stored \(Document.self) cannot be read.", because: error)
        }
    }
}

extension JSON: Equatable where Document: Equatable {}
extension JSON: Hashable where Document: Hashable {}

private func unreadable(_ wanted: String, _ found: String) -> Fault {
    Fault(.storage, "A stored value is not \(wanted).", cause: found)
}
