//  Moments as people and wire formats write them: the proleptic Gregorian calendar in UTC, and the
//  ISO 8601 texts of the clouds' APIs, without a date library.

/// A date and time of day in UTC, on the proleptic Gregorian calendar.
public struct CivilTime: Sendable, Hashable {
    public var year: Int
    /// 1...12
    public var month: Int
    /// 1...31
    public var day: Int
    /// 0...23
    public var hour: Int
    /// 0...59
    public var minute: Int
    /// 0...59; a leap second is not representable.
    public var second: Int
    /// 0...999999
    public var microsecond: Int

    /// A date that exists, in the years 0...9999; nil otherwise.
    public init?(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0, microsecond: Int = 0) {
        guard (0...9999).contains(year), (1...12).contains(month), (1...CivilTime.days(in: month, of: year)).contains(day),
            (0...23).contains(hour), (0...59).contains(minute), (0...59).contains(second), (0...999_999).contains(microsecond)
        else { return nil }
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
        self.microsecond = microsecond
    }

    /// The date and time of `instant`.
    public init(_ instant: Instant) {
        let dayLength: Int64 = 86_400_000_000
        let within = Int(floorRemainder(instant.microseconds, dayLength))
        // Days to a civil date by 400-year eras that begin in March (Hinnant, "chrono-Compatible
        // Low-Level Date Algorithms").
        let days = Int((instant.microseconds - Int64(within)) / dayLength) + 719_468
        let era = (days >= 0 ? days : days - 146_096) / 146_097
        let dayOfEra = days - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        hour = within / 3_600_000_000
        minute = within / 60_000_000 % 60
        second = within / 1_000_000 % 60
        microsecond = within % 1_000_000
    }

    /// The moment that this date and time names.
    public var instant: Instant {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = Int64(era * 146_097 + dayOfEra - 719_468)
        let seconds = days * 86_400 + Int64(hour * 3600 + minute * 60 + second)
        return Instant(microseconds: seconds * 1_000_000 + Int64(microsecond))
    }

    static func days(in month: Int, of year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}

extension Instant {
    /// `2024-01-31T12:34:56Z`: ISO 8601's extended form, whole seconds.
    public var iso8601: String { iso8601(milliseconds: false) }

    /// ISO 8601's extended form, on request with three decimals (`2024-01-31T12:34:56.000Z`). A moment that four
    /// digits of a year cannot name is written as the nearest that they can.
    public func iso8601(milliseconds: Bool) -> String {
        let time = CivilTime(nameable)
        // By bytes: a page of 1,000 instances holds thousands of them.
        return String(unsafeUninitializedCapacity: 24) { text in
            var writer = DigitWriter(text: text)
            writer.append(time.year, 4, "-")
            writer.append(time.month, 2, "-")
            writer.append(time.day, 2, "T")
            writer.append(time.hour, 2, ":")
            writer.append(time.minute, 2, ":")
            writer.append(time.second, 2, milliseconds ? "." : "Z")
            if milliseconds { writer.append(time.microsecond / 1000, 3, "Z") }
            return writer.position
        }
    }

    /// `20240131T123456Z`: ISO 8601's basic form, as in AWS signatures.
    public var iso8601Basic: String {
        let time = CivilTime(nameable)
        return String(unsafeUninitializedCapacity: 16) { text in
            var writer = DigitWriter(text: text)
            writer.append(time.year, 4, nil)
            writer.append(time.month, 2, nil)
            writer.append(time.day, 2, "T")
            writer.append(time.hour, 2, nil)
            writer.append(time.minute, 2, nil)
            writer.append(time.second, 2, "Z")
            return writer.position
        }
    }

    /// The nearest moment in the years 0 to 9999.
    private var nameable: Instant {
        Instant(microseconds: min(max(microseconds, -62_167_219_200_000_000), 253_402_300_799_999_999))
    }

    /// Reads ISO 8601 as AWS's clients write it: `2024-01-31`, or with `T12:34Z`, `T12:34:56Z`,
    /// `T12:34:56.789+02:00`, or the basic form `20240131T123456Z`. Without a zone it is UTC. Digits
    /// beyond microseconds are dropped.
    public init?(iso8601 text: some StringProtocol) {
        guard text.utf8.count <= 40 else { return nil }
        var reader = DigitReader(bytes: Array(text.utf8))
        guard let time = reader.civilTime() else { return nil }
        guard let offsetMinutes = reader.zone(), reader.atEnd else { return nil }
        self = Instant(microseconds: time.instant.microseconds - Int64(offsetMinutes) * 60_000_000)
    }
}

private struct DigitReader {
    var bytes: [UInt8]
    var position = 0

    var atEnd: Bool { position == bytes.count }
    var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard let next, UInt32(next) == character.value else { return false }
        position += 1
        return true
    }

    mutating func digits(_ count: Int) -> Int? {
        var number = 0
        for _ in 0..<count {
            guard let next, (0x30...0x39).contains(next) else { return nil }
            number = number * 10 + Int(next - 0x30)
            position += 1
        }
        return number
    }

    mutating func civilTime() -> CivilTime? {
        guard let year = digits(4) else { return nil }
        let extended = take("-")
        guard let month = digits(2), !extended || take("-"), let day = digits(2) else { return nil }
        guard take("T") || take("t") else { return CivilTime(year: year, month: month, day: day) }
        guard let hour = digits(2), !extended || take(":"), let minute = digits(2) else { return nil }
        var second = 0
        var microsecond = 0
        if extended ? take(":") : (next.map { (0x30...0x39).contains($0) } ?? false) {
            guard let seconds = digits(2) else { return nil }
            second = seconds
            if take(".") {
                guard let fraction = self.fraction() else { return nil }
                microsecond = fraction
            }
        }
        return CivilTime(
            year: year, month: month, day: day, hour: hour, minute: minute, second: second, microsecond: microsecond)
    }

    /// The digits after the decimal point, in microseconds.
    mutating func fraction() -> Int? {
        var scale = 100_000
        var microseconds = 0
        let start = position
        while let digit = digits(1) {
            microseconds += digit * scale
            scale /= 10
        }
        return position > start ? microseconds : nil
    }

    /// The zone's offset in minutes east of UTC.
    mutating func zone() -> Int? {
        if atEnd || take("Z") || take("z") { return 0 }
        let sign = take("+") ? 1 : take("-") ? -1 : 0
        guard sign != 0, let hours = digits(2) else { return nil }
        // ISO 8601 has both `+01:30` and `+0130`.
        _ = take(":")
        guard let minutes = digits(2), hours < 24, minutes < 60 else {
            return nil
        }
        return sign * (hours * 60 + minutes)
    }
}

private func floorRemainder(_ number: Int64, _ divisor: Int64) -> Int64 {
    let remainder = number % divisor
    return remainder < 0 ? remainder + divisor : remainder
}

/// Writes numbers of a fixed width. What is given fits its width and the text.
private struct DigitWriter {
    var text: UnsafeMutableBufferPointer<UInt8>
    var position = 0

    mutating func append(_ number: Int, _ width: Int, _ end: Unicode.Scalar?) {
        var rest = number
        for place in stride(from: position + width - 1, through: position, by: -1) {
            text[place] = 0x30 + UInt8(rest % 10)
            rest /= 10
        }
        position += width
        guard let end else { return }
        text[position] = UInt8(ascii: end)
        position += 1
    }
}
