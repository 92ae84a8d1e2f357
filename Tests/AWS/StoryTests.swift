//  Stories told by boto3 over a real socket, each in a cloud of its own.

import Foundation
import Model
import Platform
import Testing

@testable import AWS

@Suite(.serialized) struct StoryTests {
    static let script = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Stories/ec2.py").path

    @Test(arguments: [
        "instances", "launch", "attributes", "status", "keys", "groups", "rules", "tags", "networks", "types", "images", "regions",
        "paging", "errors", "policies", "isolation", "signatures", "sts", "refusals",
    ])
    func story(_ name: String) async throws {
        try await TestCloud.with { cloud in try await Self.tell(name, cloud) }
    }

    @Test func replays() async throws {
        try await TestCloud.with(configure: { $0.repetitionGrace = .zero }) { cloud in try await Self.tell("replays", cloud) }
    }

    @Test func throttle() async throws {
        let slow: (inout AWSFaceConfiguration) -> Void = { configuration in
            configuration.callsPerSecond = 0.001
            configuration.callsBurst = 5
        }
        try await TestCloud.with(configure: slow) { cloud in try await Self.tell("throttle", cloud) }
    }

    private static func tell(_ name: String, _ cloud: TestCloud) async throws {
        let python = ProcessInfo.processInfo.environment["KARRI_PYTHON"] ?? "python3"
        let ended = try await Command.attempt(python, ["-B", script, name], input: try cloud.facts)
        #expect(ended.status == 0, "\(name): \(ended.output.suffix(1000))\n\(ended.error.suffix(4000))")
    }
}
