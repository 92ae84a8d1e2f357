//  Numbers about a process at work, in Prometheus's text format: counters and histograms that code
//  adds to, and readings that are taken when somebody asks. The number of series is bounded whatever
//  callers send.

import Model
import Synchronization

/// A counter's or a histogram's family: one name, label values that tell its series apart.
public struct MeterFamily: Sendable, Hashable {
    /// Such as `karri_requests_total`: letters, digits and underscores.
    public let name: String
    /// One line: what is counted, and in what unit.
    public let help: String
    public let labels: [String]

    public init(_ name: StaticString, _ help: StaticString, labels: [String] = []) {
        self.name = name.description
        self.help = help.description
        self.labels = labels
    }
}

/// Counts what happens; only rises.
public final class Counter: Sendable {
    /// A family with more series than this puts the rest under `other`.
    public static let seriesMax = 1024
    static let other = "other"

    public let family: MeterFamily
    private let counts = Mutex<[[String]: UInt64]>([:])

    public init(_ family: MeterFamily) { self.family = family }

    /// Counts one more of a series.
    ///
    /// - Parameter values: In the order of the family's labels.
    public func count(_ values: String..., by number: UInt64 = 1) {
        counts.withLock { counts in
            var series = values
            if counts[series] == nil, counts.count >= Counter.seriesMax { series = values.map { _ in Counter.other } }
            Counter.add(number, to: &counts[series, default: 0])
        }
    }

    private static func add(_ number: UInt64, to count: inout UInt64) {
        let sum = count.addingReportingOverflow(number)
        count = sum.overflow ? .max : sum.partialValue
    }

    public func write(to page: inout MeterPage) {
        let counts = counts.withLock { $0 }
        page.begin(family, "counter")
        for (values, count) in counts.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            page.sample(family.name, zip(family.labels, values).map { ($0, $1) }, "\(count)")
        }
    }
}

/// How long things take, in buckets that double from a tenth of a millisecond to a minute.
public final class Histogram: Sendable {
    /// Upper bounds in microseconds.
    static let bounds: [Int64] = (0..<20).map { 100 << $0 }

    private struct Series {
        /// One more than there are bounds: the last counts what is beyond.
        var buckets = [UInt64](repeating: 0, count: bounds.count + 1)
        var microseconds: UInt64 = 0

        mutating func add(_ place: Int, _ span: Int64) {
            buckets[place] &+= 1
            microseconds &+= UInt64(span)
        }
    }

    public let family: MeterFamily
    private let all = Mutex<[[String]: Series]>([:])

    public init(_ family: MeterFamily) { self.family = family }

    /// Adds one duration to a series.
    public func record(_ values: String..., duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let microseconds = max(0, min(seconds, 1 << 32) * 1_000_000 + attoseconds / 1_000_000_000_000)
        // A bucket holds what is no longer than its bound.
        let place = Histogram.bounds.firstIndex { microseconds <= $0 } ?? Histogram.bounds.count
        all.withLock { all in
            var series = values
            if all[series] == nil, all.count >= Counter.seriesMax { series = values.map { _ in Counter.other } }
            all[series, default: Series()].add(place, microseconds)
        }
    }

    public func write(to page: inout MeterPage) {
        let all = all.withLock { $0 }
        page.begin(family, "histogram")
        for (values, series) in all.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            let labels = zip(family.labels, values).map { ($0, $1) }
            var sum: UInt64 = 0
            for (place, count) in series.buckets.enumerated() {
                sum += count
                let bound = place < Histogram.bounds.count ? seconds(Histogram.bounds[place]) : "+Inf"
                page.sample("\(family.name)_bucket", labels + [("le", bound)], "\(sum)")
            }
            page.sample("\(family.name)_sum", labels, seconds(Int64(clamping: series.microseconds)))
            page.sample("\(family.name)_count", labels, "\(sum)")
        }
    }

    /// Seconds without the rounding of a binary fraction.
    private func seconds(_ microseconds: Int64) -> String {
        let (whole, rest) = microseconds.quotientAndRemainder(dividingBy: 1_000_000)
        let digits = String(rest)
        let fraction = String(repeating: "0", count: 6 - digits.count) + digits
        let trimmed = fraction.reversed().drop { $0 == "0" }.reversed()
        return rest == 0 ? "\(whole)" : "\(whole).\(String(trimmed))"
    }
}

/// One answer in the text format 0.0.4.
public struct MeterPage: Sendable {
    /// What an answer's Content-Type is.
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    public private(set) var text = ""

    public init() {}

    mutating func begin(_ family: MeterFamily, _ type: String) {
        text += "# HELP \(family.name) \(family.help)\n# TYPE \(family.name) \(type)\n"
    }

    mutating func sample(_ name: String, _ labels: [(String, String)], _ value: String) {
        text += name
        if !labels.isEmpty {
            text += "{" + labels.map { "\($0.0)=\"\(MeterPage.escaped($0.1))\"" }.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    /// A reading that goes up and down.
    ///
    /// - Parameter samples: Label values in the order of the family's labels, and the number.
    public mutating func gauge(_ family: MeterFamily, _ samples: [(values: [String], number: Int64)]) {
        readings(family, "gauge", samples)
    }

    /// A counter that is kept elsewhere.
    public mutating func counter(_ family: MeterFamily, _ samples: [(values: [String], number: Int64)]) {
        readings(family, "counter", samples)
    }

    private mutating func readings(_ family: MeterFamily, _ type: String, _ samples: [(values: [String], number: Int64)]) {
        begin(family, type)
        for (values, number) in samples.prefix(Counter.seriesMax) {
            sample(family.name, zip(family.labels, values).map { ($0, $1) }, "\(number)")
        }
    }

    /// Backslash, quote and newline are written with a backslash.
    static func escaped(_ value: String) -> String {
        var escaped = ""
        for letter in value.unicodeScalars {
            switch letter {
            case "\\": escaped += "\\\\"
            case "\"": escaped += "\\\""
            case "\n": escaped += "\\n"
            default: escaped.unicodeScalars.append(letter)
            }
        }
        return escaped
    }
}
