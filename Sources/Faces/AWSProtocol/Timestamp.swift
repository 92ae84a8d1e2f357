//  Moments in ISO 8601, as AWS writes and reads them. By hand, because Foundation's formatter is
//  slow and a page of instances holds thousands.

import Model

extension Instant {
    /// Reads `2024-01-31T12:34:56Z`, with an optional fraction of a second, and with `Z` or an
    /// offset; seconds may be left out.
    public init?(iso8601 text: String) {
        var scanner = Digits(text.utf8[...])
        guard
            let year = scanner.number(4), scanner.skip("-"), let month = scanner.number(2), (1...12).contains(month),
            scanner.skip("-"), let day = scanner.number(2), day >= 1, day <= daysOfMonth(month, year),
            scanner.skip("T") || scanner.skip("t") || scanner.skip(" "),
            let hour = scanner.number(2), hour < 24, scanner.skip(":"), let minute = scanner.number(2), minute < 60
        else { return nil }
        var second = 0
        var microseconds = 0
        if scanner.skip(":") {
            // 60 is a leap second.
            guard let given = scanner.number(2), given <= 60 else { return nil }
            second = given
            if scanner.skip(".") {
                guard let fraction = scanner.fraction() else { return nil }
                microseconds = fraction
            }
        }
        guard let offsetMinutes = scanner.offset(), scanner.rest.isEmpty else { return nil }
        let days = dayNumber(year, month, day)
        let seconds = days * 86400 + (hour * 60 + minute - offsetMinutes) * 60 + second
        self.init(microseconds: Int64(seconds) * 1_000_000 + Int64(microseconds))
    }

    /// `2024-01-31T12:34:56.000Z` as ASCII bytes. Moments outside of the years 0 to 9999 are moved to the nearest
    /// that can be written.
    public var iso8601: [UInt8] {
        let range = Int64(-62_167_219_200_000)...Int64(253_402_300_799_999)
        let milliseconds = min(max(floorDivision(microseconds, 1000), range.lowerBound), range.upperBound)
        let (days, rest) = (floorDivision(milliseconds, 86_400_000), Int(modulo(milliseconds, 86_400_000)))
        let (year, month, day) = civil(Int(days))
        var text: [UInt8] = []
        text.reserveCapacity(24)
        func append(_ number: Int, _ width: Int, _ end: Unicode.Scalar) {
            var divisor = [1, 10, 100, 1000][width - 1]
            while divisor > 0 {
                text.append(UInt8(ascii: "0") + UInt8(number / divisor % 10))
                divisor /= 10
            }
            text.append(UInt8(ascii: end))
        }
        append(year, 4, "-")
        append(month, 2, "-")
        append(day, 2, "T")
        append(rest / 3_600_000, 2, ":")
        append(rest / 60_000 % 60, 2, ":")
        append(rest / 1000 % 60, 2, ".")
        append(rest % 1000, 3, "Z")
        return text
    }
}

/// Reads digits of a fixed count and single characters.
private struct Digits {
    var rest: Substring.UTF8View

    init(_ text: Substring.UTF8View) { rest = text }

    mutating func digit() -> Int? {
        guard let byte = rest.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
        rest = rest.dropFirst()
        return Int(byte - UInt8(ascii: "0"))
    }

    mutating func number(_ count: Int) -> Int? {
        var value = 0
        for _ in 0..<count {
            guard let digit = digit() else { return nil }
            value = value * 10 + digit
        }
        return value
    }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest = rest.dropFirst()
        return true
    }

    /// One to nine digits after the point, as microseconds; what is finer is cut off.
    mutating func fraction() -> Int? {
        var value = 0
        var count = 0
        while count < 9, let digit = digit() {
            count += 1
            if count <= 6 { value = value * 10 + digit }
        }
        guard count > 0 else { return nil }
        for _ in count..<max(count, 6) { value *= 10 }
        return value
    }

    /// `Z`, `+01:00` or `+0100`, as minutes east of UTC.
    mutating func offset() -> Int? {
        if skip("Z") || skip("z") { return 0 }
        let sign: Int
        if skip("+") { sign = 1 } else if skip("-") { sign = -1 } else { return nil }
        guard let hours = number(2), hours < 24 else { return nil }
        _ = skip(":")
        guard let minutes = number(2), minutes < 60 else { return nil }
        return sign * (hours * 60 + minutes)
    }
}

private func isLeap(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

private func daysOfMonth(_ month: Int, _ year: Int) -> Int {
    switch month {
    case 2: isLeap(year) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
}

/// Days since 1970-01-01 in the Gregorian calendar. Source: Howard Hinnant, "chrono-compatible low-level date
/// algorithms", days_from_civil.
private func dayNumber(_ year: Int, _ month: Int, _ day: Int) -> Int {
    let shifted = month <= 2 ? year - 1 : year
    let era = floorDivision(shifted, 400)
    let yearOfEra = shifted - era * 400
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
}

/// The reverse, civil_from_days of the same source.
private func civil(_ days: Int) -> (year: Int, month: Int, day: Int) {
    let shifted = days + 719_468
    let era = floorDivision(shifted, 146_097)
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
}

private func floorDivision<Number: SignedInteger>(_ number: Number, _ divisor: Number) -> Number {
    let quotient = number / divisor
    return number % divisor < 0 ? quotient - 1 : quotient
}

private func modulo(_ number: Int64, _ divisor: Int64) -> Int64 { number - floorDivision(number, divisor) * divisor }
