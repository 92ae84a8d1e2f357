//  Measures calls: how many a second, how long each, and how much CPU time each costs all processes.

import Model

/// Runs calls over a few connections and prints what they took.
struct APIMeter: Sendable {
    let cloud: BenchCloud
    let processes: Processes
    let connections: Int
    let say: @Sendable (String) -> Void

    typealias Call = @Sendable (SignedClient, Int) async throws(Fault) -> (Answer, String)

    /// CPU seconds a second when nothing is asked.
    func idle() async throws(Fault) -> Double {
        let before = processes.cpuSeconds
        do { try await Task.sleep(for: .seconds(3)) } catch { throw Fault(.cancelled, "The benchmark was cancelled.") }
        return (processes.cpuSeconds - before) / 3
    }

    private struct Lane: Sendable {
        var times: [Double] = []
        var words: [(Int, String)] = []
        var bytes = 0
    }

    /// Makes calls and prints their figures.
    ///
    /// - Parameters:
    ///   - idle: CPU seconds a second that the cloud takes by itself; they are taken off.
    ///   - settles: Whether what the calls cause is waited for and counted.
    /// - Returns: What each call had to say, in the calls' order.
    @discardableResult
    func measure(
        _ what: String, calls: Int, idle: Double, aim: Aim? = nil, connections: Int? = nil, settles: Bool = false,
        _ call: @escaping Call
    ) async throws(Fault) -> [String] {
        let lanes = connections ?? self.connections
        let clients = (0..<lanes).map { _ in cloud.client() }
        let cpu = processes.cpuSecondsByRole
        let began = ContinuousClock.now
        let results: [Result<Lane, Fault>] = await withTaskGroup(of: Result<Lane, Fault>.self) { group in
            for (place, client) in clients.enumerated() {
                group.addTask { await APIMeter.run(client, from: place, step: lanes, calls: calls, call) }
            }
            var results: [Result<Lane, Fault>] = []
            for await result in group { results.append(result) }
            return results
        }
        let took = seconds(ContinuousClock.now - began)
        if settles { try await processes.settle(idle: idle) }
        let whole = seconds(ContinuousClock.now - began)
        let used = processes.cpuSecondsByRole.map { (role: $0, seconds: $1 - (cpu[$0] ?? 0)) }.filter { $0.seconds > 0 }
        let spent = max(0, used.reduce(0) { $0 + $1.seconds } - idle * whole) * 1000 / Double(calls)
        let parts = used.sorted { $0.seconds > $1.seconds }.prefix(2).map {
            "\($0.role) \(decimal($0.seconds * 1000 / Double(calls), 2))"
        }
        var all = Lane()
        for result in results {
            let lane = try result.get()
            all.times += lane.times
            all.words += lane.words
            all.bytes += lane.bytes
        }
        let times = Samples(all.times.map { $0 * 1000 })
        let words = all.words.sorted { $0.0 < $1.0 }.map(\.1)
        let rows = connections == 1 ? ", \(words.first ?? "?") rows, \(all.bytes / calls / 1024) KiB" : ""
        say(
            "\(what): \(decimal(Double(calls) / took, 0))/s, \(decimal(spent, 2)) ms CPU (\(parts.joined(separator: ", "))), median \(decimal(times.median, 2)) ms, p90 \(decimal(times.p90, 2)) ms\(rows)"
                + (aim.map { "; CPU: " + $0.verdict(spent) } ?? ""))
        return words
    }

    private static func run(
        _ client: SignedClient, from first: Int, step: Int, calls: Int, _ call: Call
    ) async -> Result<Lane, Fault> {
        var lane = Lane()
        do throws(Fault) {
            for number in stride(from: first, to: calls, by: step) {
                let (answer, word) = try await call(client, number)
                lane.times.append(answer.seconds)
                lane.words.append((number, word))
                lane.bytes += answer.body.count
            }
        } catch { return .failure(error) }
        return .success(lane)
    }
}
