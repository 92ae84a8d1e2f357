//  What a benchmark prints: figures beside the aims that they are held to, and the machine that they
//  were measured on.

import Crypto
import FoundationEssentials
import Model

#if canImport(Glibc)
    import Glibc
#endif

/// Samples of one measure.
public struct Samples: Sendable, Hashable {
    public var values: [Double] = []

    public init(_ values: [Double] = []) { self.values = values }

    /// The value below which the given part of the samples lies (nearest rank); 0 without samples.
    public func quantile(_ part: Double) -> Double {
        guard !values.isEmpty else { return 0 }
        let sorted = values.sorted()
        let rank = Int((part * Double(sorted.count)).rounded(.up))
        return sorted[min(max(rank, 1), sorted.count) - 1]
    }

    public var median: Double { quantile(0.5) }
    public var p90: Double { quantile(0.9) }
}

/// What a figure should be, and whether it is.
public struct Aim: Sendable, Hashable {
    public var most: Double
    public var unit: String

    public init(_ most: Double, _ unit: String) {
        self.most = most
        self.unit = unit
    }

    /// `aim 5 ms: met`
    public func verdict(_ figure: Double) -> String {
        "aim \(decimal(most, most < 10 && most != most.rounded() ? 2 : 0)) \(unit): \(figure <= most ? "met" : "MISSED")"
    }
}

/// Fixed decimals.
public func decimal(_ value: Double, _ digits: Int) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let whole = Int64((abs(value) * scale).rounded())
    let sign = value < 0 && whole != 0 ? "-" : ""
    let text = String(whole)
    guard digits > 0 else { return sign + text }
    let padded = String(repeating: "0", count: max(0, digits + 1 - text.count)) + text
    return "\(sign)\(padded.dropLast(digits)).\(padded.suffix(digits))"
}

/// Seconds of a span.
public func seconds(_ span: Duration) -> Double {
    Double(span.components.seconds) + Double(span.components.attoseconds) / 1e18
}

/// Where the figures come from.
public enum Measured {
    #if DEBUG
        static let build = "debug"
    #else
        static let build = "release"
    #endif

    /// One line: processors, kernel, accelerator, build mode, and how busy others keep the machine.
    public static func machine(accelerator: String) -> String {
        let release = text("/proc/sys/kernel/osrelease").trimmed
        let load = text("/proc/loadavg").split(separator: " ").first.map(String.init) ?? "?"
        let model =
            text("/proc/cpuinfo").split(separator: "\n").first { $0.hasPrefix("model name") }?.split(separator: ":").last
            .map { String($0).trimmed } ?? "?"
        return
            "machine: \(sysconf(Int32(_SC_NPROCESSORS_ONLN))) CPUs (\(model)), kernel \(release), accelerator \(accelerator), \(build) build, load \(load), 8 MiB of SHA-256 in \(decimal(yardstickMilliseconds(), 1)) ms of CPU"
    }

    /// What a fixed piece of work takes of CPU time just now, in milliseconds: processors that others
    /// keep busy take more for the same, and figures of two hours compare by this.
    public static func yardstickMilliseconds() -> Double {
        let chunk = [UInt8](repeating: 0x5a, count: 1 << 20)
        var took: [Double] = []
        for _ in 0..<5 {
            let before = threadSeconds()
            var hash = SHA256()
            for _ in 0..<8 { hash.update(data: chunk) }
            _ = hash.finalize()
            took.append((threadSeconds() - before) * 1000)
        }
        return Samples(took).median
    }

    static func threadSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    static func text(_ path: String) -> String {
        guard let data = FileManager.default.contents(atPath: path) else { return "" }
        return String(decoding: data, as: UTF8.self)
    }
}

extension String {
    var trimmed: String {
        var rest = self[...]
        while rest.first?.isWhitespace == true { rest.removeFirst() }
        while rest.last?.isWhitespace == true { rest.removeLast() }
        return String(rest)
    }
}
