//  The wire layer against botocore: every member of every operation, in both directions.

import EC2Model
import Model
import STSModel
import Testing

@testable import AWSProtocol

@Suite struct OracleTests {
    @Test func requestsOfEC2() async throws {
        try await compareRequests("ec2", .ec2, ec2RequestReaders)
    }

    @Test func requestsOfSTS() async throws {
        try await compareRequests("sts", .query, stsRequestReaders)
    }

    @Test func responsesOfEC2() async throws { try await compareResponses("ec2", sampledEC2Responses) }

    @Test func responsesOfSTS() async throws { try await compareResponses("sts", sampledSTSResponses) }

    private func compareRequests(
        _ service: String, _ dialect: Dialect, _ readers: [String: @Sendable (Query) throws(Fault) -> any Sendable]
    ) async throws {
        let seed: UInt64 = 1
        let requests = try await Oracle.requests(service, seed: seed, rounds: 20)
        #expect(Set(requests.map(\.operation)) == Set(readers.keys))
        for request in requests {
            let reader = try #require(readers[request.operation])
            let read = try reader(try query(request.body, dialect))
            #expect(lines(of: read) == request.values.sorted(), "\(request.operation), seed \(seed): \(request.body)")
        }
    }

    private func compareResponses(
        _ service: String, _ sampled: [(operation: String, sample: @Sendable (inout SampleChance) -> SampledResponse)]
    ) async throws {
        var written: [Oracle.Response] = []
        var expected: [[String]] = []
        for (number, (operation, sample)) in sampled.enumerated() {
            for percent: UInt64 in [100, 60, 10, 0] {
                var chance = SampleChance(seed: UInt64(number) << 8 | percent, percent: percent)
                let response = sample(&chance)
                written.append(Oracle.Response(operation: operation, body: text(response.body)))
                expected.append(lines(of: response.value))
            }
        }
        let read = try await Oracle.read("responses", service, written)
        try #require(read.count == expected.count)
        for (number, response) in read.enumerated() {
            #expect(response.values?.sorted() == expected[number], "\(written[number].operation ?? "")")
            #expect(response.requestId == "r")
        }
        // A comparison of nothing with nothing would prove nothing.
        #expect(expected.contains { $0.count >= 2 })
    }

    @Test(arguments: [("ec2", Dialect.ec2, "DescribeInstances"), ("sts", .query, "GetCallerIdentity")])
    func errors(service: String, dialect: Dialect, operation: String) async throws {
        let error = AWSError("InvalidInstanceID.NotFound", "The instance ID 'i-<&\"' does not exist", status: 400)
        let body = error.body(dialect, namespace: "https://example.com/", requestID: "r-1")
        let read = try await Oracle.read("errors", service, [.init(operation: operation, body: text(body), status: 400)])
        #expect(read.first?.code == error.code)
        #expect(read.first?.message == error.message)
        #expect(read.first?.requestId == "r-1")
    }
}
