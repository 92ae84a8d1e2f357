//  The parameters of a form body or a query string, decoded. The first reader of a caller's bytes
//  after the signature, so everything is counted.

import Model

/// Names and values in the order in which they were sent.
public struct FormParameters: Sendable {
    /// What a request may hold at most. A form that fits AWS's own limits fits these.
    public struct Limits: Sendable {
        /// Parameters of one request.
        public var parameters = 10_000
        /// Bytes of one name, decoded.
        public var nameBytes = 512
        /// Parts of one name: `Filter.1.Value.2` has four.
        public var depth = 16
        /// The largest number in a name.
        public var index = 100_000

        public init() {}
    }

    /// One name with its value; `Name` alone has an empty value.
    public struct Parameter: Sendable, Hashable {
        public var name: String
        public var value: String

        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// In the order in which they were sent.
    public private(set) var parameters: [Parameter] = []
    /// What this request may hold.
    public let limits: Limits

    /// A request without parameters, to be appended to.
    public init(limits: Limits = Limits()) { self.limits = limits }

    /// Reads `application/x-www-form-urlencoded` text: a body, or what follows `?` in a target.
    ///
    /// - Throws: `malformedRequest` for a broken escape or text that is not UTF-8, `tooLarge` beyond the limits.
    public init(_ text: [UInt8], limits: Limits = Limits()) throws(Fault) {
        self.init(limits: limits)
        try append(text)
    }

    /// Gives the parameters of one name another.
    public mutating func rename(_ name: String, to other: String) {
        for place in parameters.indices where parameters[place].name == name { parameters[place].name = other }
    }

    /// Adds the parameters of another part of the same request.
    public mutating func append(_ text: [UInt8]) throws(Fault) {
        var rest = text[...]
        while !rest.isEmpty {
            let end = rest.firstIndex(of: UInt8(ascii: "&")) ?? rest.endIndex
            let pair = rest[..<end]
            rest = end == rest.endIndex ? [] : rest[(end + 1)...]
            if !pair.isEmpty { try append(pair: pair) }
        }
    }

    private mutating func append(pair: ArraySlice<UInt8>) throws(Fault) {
        guard parameters.count < limits.parameters else {
            throw Fault(.tooLarge, "The request has more than \(limits.parameters) parameters")
        }
        let separator = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
        let name = try decoded(pair[..<separator])
        guard name.utf8.count <= limits.nameBytes else {
            throw Fault(.tooLarge, "The name of a parameter is longer than \(limits.nameBytes) bytes")
        }
        let value = separator == pair.endIndex ? "" : try decoded(pair[(separator + 1)...])
        parameters.append(Parameter(name: name, value: value))
    }

    /// Undoes `+` and percent escapes. Source: the URL standard, application/x-www-form-urlencoded.
    private func decoded(_ text: ArraySlice<UInt8>) throws(Fault) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var iterator = text.makeIterator()
        while let byte = iterator.next() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = iterator.next().flatMap(hexValue), let low = iterator.next().flatMap(hexValue) else {
                    throw Fault(.malformedRequest, "The query string contains a malformed percent escape")
                }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        guard let string = String(validating: bytes, as: UTF8.self) else {
            throw Fault(.malformedRequest, "The query string is not valid UTF-8")
        }
        return string
    }
}

private func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
