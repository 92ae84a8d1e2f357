//  HTTP's dates (RFC 9110, section 5.6.7), and the dates of signed requests.

import Model

public enum HTTPDate {
    private static let days = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// `Sun, 06 Nov 1994 08:49:37 GMT`, to the second.
    public static func text(_ instant: Instant) -> String {
        // 1994-11-06T08:49:37Z
        let parts = instant.iso8601.split { "-T:Z".contains($0) }
        guard parts.count == 6, let month = Int(parts[1]), months.indices.contains(month - 1) else { return instant.iso8601 }
        let day = Int((instant.seconds / 86_400 % 7 + 7) % 7)
        return "\(days[day]), \(parts[2]) \(months[month - 1]) \(parts[0]) \(parts[3]):\(parts[4]):\(parts[5]) GMT"
    }

    /// Reads the form that `text` writes; nil for what is no such date.
    public static func parse(_ text: String) -> Instant? { text.contains(",") ? readHTTP(text) : nil }

    /// Reads `20150830T123600Z`, and where `mayBeHTTP` also a Date header's `Sun, 30 Aug 2015 12:36:00
    /// GMT` (Python's libraries write the zone as `-0000`). To the second.
    static func read(_ text: String, mayBeHTTP: Bool) -> Instant? {
        if text.utf8.count == 16, text.hasSuffix("Z"), !text.utf8.contains(UInt8(ascii: ":")) { return Instant(iso8601: text) }
        return mayBeHTTP ? readHTTP(text) : nil
    }

    private static func readHTTP(_ text: String) -> Instant? {
        guard text.utf8.count <= 40 else { return nil }
        let parts = Array(text.split(separator: " ").drop { $0.hasSuffix(",") })
        guard parts.count == 5, ["GMT", "UTC", "+0000", "-0000"].contains(parts[4]),
            let month = months.firstIndex(of: String(parts[1])),
            let day = number(parts[0]), let year = number(parts[2])
        else { return nil }
        let clock = parts[3].split(separator: ":", omittingEmptySubsequences: false).map(number)
        guard clock.count == 3, let hour = clock[0], let minute = clock[1], let second = clock[2] else { return nil }
        return CivilTime(year: year, month: month + 1, day: day, hour: hour, minute: minute, second: second)?.instant
    }

    private static func number(_ text: Substring) -> Int? {
        (1...4).contains(text.utf8.count) && text.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(text) : nil
    }
}
