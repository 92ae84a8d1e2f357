//  The text format, the bounds of series and buckets, and counting from many threads at once.

import Meters
import Testing

struct MeterTests {
    static func lines(_ write: (inout MeterPage) -> Void) -> [String] {
        var page = MeterPage()
        write(&page)
        #expect(page.text.hasSuffix("\n"))
        return page.text.split(separator: "\n").map(String.init)
    }

    @Test func aCounterIsWrittenSeriesBySeries() {
        let counter = Counter(MeterFamily("calls_total", "Calls.", labels: ["action", "code"]))
        counter.count("B", "x")
        counter.count("A", "a\"b\\c\nd", by: 3)
        counter.count("B", "x")
        #expect(
            MeterTests.lines(counter.write(to:)) == [
                "# HELP calls_total Calls.", "# TYPE calls_total counter", #"calls_total{action="A",code="a\"b\\c\nd"} 3"#,
                #"calls_total{action="B",code="x"} 2"#,
            ])
    }

    @Test func aFamilyWithoutLabelsHasOneSeries() {
        let counter = Counter(MeterFamily("starts_total", "Starts."))
        counter.count()
        #expect(MeterTests.lines(counter.write(to:)).last == "starts_total 1")
    }

    @Test func countingStopsAtTheLastNumber() {
        let counter = Counter(MeterFamily("starts_total", "Starts."))
        counter.count(by: .max - 1)
        counter.count(by: 5)
        #expect(MeterTests.lines(counter.write(to:)).last == "starts_total \(UInt64.max)")
    }

    @Test func seriesBeyondTheBoundAreOneSeries() {
        let counter = Counter(MeterFamily("calls_total", "Calls.", labels: ["action"]))
        let histogram = Histogram(MeterFamily("span_seconds", "Spans.", labels: ["action"]))
        for number in 0..<(Counter.seriesMax + 50) {
            counter.count("\(number)")
            histogram.record("\(number)", duration: .zero)
        }
        let lines = MeterTests.lines(counter.write(to:))
        #expect(lines.count == Counter.seriesMax + 3)
        #expect(lines.contains(#"calls_total{action="other"} 50"#))
        #expect(MeterTests.lines(histogram.write(to:)).contains(#"span_seconds_count{action="other"} 50"#))
    }

    @Test(arguments: [
        (Duration.zero, "0.0001"), (.microseconds(100), "0.0001"), (.microseconds(101), "0.0002"), (.milliseconds(1), "0.0016"),
        (.seconds(52), "52.4288"), (.seconds(53), "+Inf"), (.seconds(1 << 40), "+Inf"), (.seconds(-5), "0.0001"),
    ])
    func aDurationLiesInTheFirstBucketThatHoldsIt(duration: Duration, bound: String) throws {
        let histogram = Histogram(MeterFamily("span_seconds", "Spans."))
        histogram.record(duration: duration)
        let buckets = MeterTests.lines(histogram.write(to:)).filter { $0.hasPrefix("span_seconds_bucket") }
        #expect(try #require(buckets.first { $0.hasSuffix(" 1") }).contains("le=\"\(bound)\""))
        #expect(buckets.last == #"span_seconds_bucket{le="+Inf"} 1"#)
    }

    @Test func bucketsAddUpAndTheSumIsInSeconds() {
        let histogram = Histogram(MeterFamily("span_seconds", "Spans.", labels: ["kind"]))
        for milliseconds in [1, 1, 20, 1500] { histogram.record("a", duration: .milliseconds(milliseconds)) }
        let lines = MeterTests.lines(histogram.write(to:))
        #expect(lines.contains(#"span_seconds_bucket{kind="a",le="0.0016"} 2"#))
        #expect(lines.contains(#"span_seconds_bucket{kind="a",le="0.0256"} 3"#))
        #expect(lines.contains(#"span_seconds_bucket{kind="a",le="+Inf"} 4"#))
        #expect(lines.contains(#"span_seconds_sum{kind="a"} 1.522"#))
        #expect(lines.contains(#"span_seconds_count{kind="a"} 4"#))
    }

    @Test func nothingIsLostBetweenThreads() async {
        let counter = Counter(MeterFamily("calls_total", "Calls.", labels: ["a"]))
        let histogram = Histogram(MeterFamily("span_seconds", "Spans."))
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for _ in 0..<1000 {
                        counter.count("\(task % 2)")
                        histogram.record(duration: .milliseconds(1))
                    }
                }
            }
        }
        #expect(MeterTests.lines(counter.write(to:)).suffix(2) == [#"calls_total{a="0"} 4000"#, #"calls_total{a="1"} 4000"#])
        #expect(MeterTests.lines(histogram.write(to:)).last == "span_seconds_count 8000")
    }

    @Test func aReadingIsAGauge() {
        let lines = MeterTests.lines { $0.gauge(MeterFamily("hosts", "Hosts.", labels: ["state"]), [(["up"], 2), (["lost"], -1)]) }
        #expect(lines == ["# HELP hosts Hosts.", "# TYPE hosts gauge", #"hosts{state="up"} 2"#, #"hosts{state="lost"} -1"#])
    }
}
