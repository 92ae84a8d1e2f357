//  `karri bench start`: from `karri up` in an installation that is there and down to the first
//  answer of the API.

import Model

/// The benchmark of starts, on a cloud that may be stopped.
public struct StartBench: Sendable {
    let cloud: BenchCloud
    let runs: Int
    let say: @Sendable (String) -> Void

    public init(cloud: BenchCloud, runs: Int, say: @escaping @Sendable (String) -> Void) {
        self.cloud = cloud
        self.runs = runs
        self.say = say
    }

    static let aim = Aim(2, "s")
    static let patience = Duration.seconds(120)

    public func run(accelerator: String) async throws(Fault) {
        say(Measured.machine(accelerator: accelerator))
        let caller = try cloud.credentials()
        var answers: [Double] = []
        var ends: [Double] = []
        for number in 1...max(1, runs) {
            try await cloud.down()
            let began = ContinuousClock.now
            let (answered, ended) = try await start(caller, began)
            answers.append(answered)
            ends.append(ended)
            say("run \(number): first answer after \(decimal(answered, 2)) s, karri up ended after \(decimal(ended, 2)) s")
        }
        let (first, end) = (Samples(answers), Samples(ends))
        say(
            "karri up to the first DescribeRegions, \(answers.count) runs: median \(decimal(first.median, 2)) s, p90 \(decimal(first.p90, 2)) s; \(StartBench.aim.verdict(first.median))"
        )
        say("karri up to its end: median \(decimal(end.median, 2)) s, p90 \(decimal(end.p90, 2)) s")
    }

    private func start(_ caller: BenchCredentials, _ began: ContinuousClock.Instant) async throws(Fault) -> (Double, Double) {
        let cloud = cloud
        async let up: Result<Double, Fault> = Result { () async throws(Fault) -> Double in
            try await cloud.karri(["up", "--yes", "--no-profile", "--no-debian"])
            return seconds(ContinuousClock.now - began)
        }
        let answered = try await firstAnswer(caller, began)
        return (answered, try await up.get())
    }

    private func firstAnswer(_ caller: BenchCredentials, _ began: ContinuousClock.Instant) async throws(Fault) -> Double {
        let client = cloud.client()
        while ContinuousClock.now - began < StartBench.patience {
            do throws(Fault) {
                _ = try await client.call("DescribeRegions", as: caller)
                return seconds(ContinuousClock.now - began)
            } catch  where error.code == .unavailable {}
            do { try await Task.sleep(for: .milliseconds(5)) } catch { throw Fault(.cancelled, "The benchmark was cancelled.") }
        }
        throw Fault(.timedOut, "the API did not answer within \(StartBench.patience)")
    }
}

extension Result where Failure == Fault {
    fileprivate init(_ body: () async throws(Fault) -> Success) async {
        do throws(Fault) { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
