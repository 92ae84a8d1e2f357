import Model
import Testing

@Suite struct CalendarTests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01", 0),
        ("1969-12-31T23:59:59Z", -1),
        ("2000-02-29T12:00:00Z", 951_825_600),
        ("2015-08-30T12:36:00Z", 1_440_938_160),
        ("20150830T123600Z", 1_440_938_160),
        ("2015-08-30T14:36:00+02:00", 1_440_938_160),
        ("2015-08-30T12:36Z", 1_440_938_160),
        ("2015-08-30T14:36:00+0200", 1_440_938_160),
        ("2015-08-30T07:06:00-0530", 1_440_938_160),
        ("2015-08-30t12:36:00.000000999z", 1_440_938_160),
        ("9999-12-31T23:59:59Z", 253_402_300_799),
    ])
    func reads(text: String, seconds: Int64) { #expect(Instant(iso8601: text) == Instant(seconds: seconds)) }

    @Test(arguments: [
        "", "2015", "2015-13-01", "2015-02-29", "2015-8-30", "2015-08-30T", "2015-08-30T24:00:00Z", "2015-08-30T12:36:60Z",
        "2015-08-30T12:36:00.Z", "2015-08-30T12:36:00+2", "2015-08-30T12:36:00+02:", "2015-08-30T12:36:00+02:0",
        "2015-08-30T12:36:00+:0200",
        "2015-08-30T12:36:00Zx", "2015-08-30 12:36:00", "+015-08-30",
        "20150830T12:3600Z", "2015-08-30T12:36:00+24:00",
    ])
    func refuses(text: String) { #expect(Instant(iso8601: text) == nil) }

    @Test func writes() {
        let instant = Instant(microseconds: 1_440_938_160_045_678)
        #expect(instant.iso8601 == "2015-08-30T12:36:00Z")
        #expect(instant.iso8601(milliseconds: true) == "2015-08-30T12:36:00.045Z")
        #expect(instant.iso8601Basic == "20150830T123600Z")
    }

    @Test func writesTheNearestNameableMoment() {
        #expect(Instant(microseconds: .min).iso8601(milliseconds: true) == "0000-01-01T00:00:00.000Z")
        #expect(Instant(microseconds: .max).iso8601Basic == "99991231T235959Z")
        // Before the epoch, what is finer than a millisecond goes to the earlier one.
        #expect(Instant(microseconds: -1).iso8601(milliseconds: true) == "1969-12-31T23:59:59.999Z")
    }

    @Test func everyDayRoundTrips() {
        var day = Instant(iso8601: "1599-12-28")?.microseconds ?? 0
        var previous = CivilTime(Instant(microseconds: day - 86_400_000_000))
        var wrong: [Int64] = []
        for _ in 0..<300_000 {
            let civil = CivilTime(Instant(microseconds: day))
            let follows =
                civil.day == previous.day + 1 && civil.month == previous.month
                || civil.day == 1 && (civil.month == previous.month + 1 || civil.month == 1 && civil.year == previous.year + 1)
            if !follows || civil.instant.microseconds != day { wrong.append(day) }
            previous = civil
            day += 86_400_000_000
        }
        #expect(wrong.isEmpty)
    }
}
