//  Records on their way: which keys they get, and that those of several days lie apart where their keys say a day.

import Foundation
import Logging
import Model
import ObjectStorage
import Testing

@testable import Objects

@Suite struct AccessLogTests {
    /// Adds records of two days and delivers them: the keys, without what is random, and what lies there.
    private func delivered(_ kind: TestedStore.Backend, _ partition: AccessLogging.PartitionDate?) async throws -> [String: String]
    {
        var found: [String: String] = [:]
        try await TestedStore.with(kind) { store in
            let caller = store.caller()
            let watched = try await store.objects.createBucket(NewBucket(name: "watched"), by: caller)
            var logs = NewBucket(name: "logs")
            (logs.ownership, logs.acl) = (.objectWriter, .canned(.logDeliveryWrite))
            _ = try await store.objects.createBucket(logs, by: caller)
            var logging = AccessLogging(bucket: "logs", prefix: "p/")
            logging.partition = partition
            try await store.objects.setLogging(RequestedLogging(logging), of: "watched", by: caller)
            let records = AccessLogs(objects: store.objects, interval: .seconds(3600), log: Logger(label: "test"))
            let dayBefore = Instant(microseconds: store.time.microseconds - 86_400 * 1_000_000)
            for (time, line) in [(store.time, "today"), (dayBefore, "yesterday"), (store.time, "again")] {
                records.add(line, at: time, of: watched.bucket, logging)
            }
            // What waits is delivered when the work ends.
            await withTaskGroup(of: Void.self) { group in
                group.addTask { try? await records.run() }
                group.cancelAll()
            }
            let bucket = try #require(try await store.backend.bucket(named: "logs"))
            for entry in try await store.backend.list(ListingRequest(), .current, of: bucket).entries {
                let key = entry.key.description
                let text = try await store.read(ObjectName(bucket: "logs", key: entry.key))
                found[String(key.dropLast(16))] = String(decoding: text, as: UTF8.self)
            }
        }
        return found
    }

    @Test(arguments: TestedStore.Backend.allCases)
    func keys(kind: TestedStore.Backend) async throws {
        // The clock of the store stands at 2027-01-15T08:00:00Z.
        #expect(try await delivered(kind, nil) == ["p/2027-01-15-08-00-00-": "today\nyesterday\nagain\n"])
        let place = "p/111111111111/r/watched/2027/01"
        #expect(
            try await delivered(kind, .delivery) == ["\(place)/15/2027-01-15-08-00-00-": "today\nyesterday\nagain\n"])
        #expect(
            try await delivered(kind, .event) == [
                "\(place)/15/2027-01-15-00-00-00-": "today\nagain\n", "\(place)/14/2027-01-14-00-00-00-": "yesterday\n",
            ])
    }
}
