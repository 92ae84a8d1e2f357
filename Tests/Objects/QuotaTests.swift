//  What the operator is told of buckets' use, and what its limits do.

import Model
import ObjectStorage
import Testing

@testable import Objects

struct QuotaTests {
    private static func put(_ store: TestedStore, _ bucket: String, _ key: String, _ count: Int) async throws {
        _ = try await store.objects.put(
            ObjectUpload(bucket: bucket, key: ObjectKey(key)), BytesBody(bytes: [UInt8](repeating: 1, count: count)),
            by: store.caller())
    }

    @Test(arguments: TestedStore.Backend.allCases)
    func limitsOfBucketsAndAccounts(kind: TestedStore.Backend) async throws {
        try await TestedStore.with(kind) { store in
            for name in ["second", "first"] {
                _ = try await store.objects.createBucket(NewBucket(name: name), by: store.caller())
            }
            _ = try await store.objects.createBucket(NewBucket(name: "theirs"), by: store.caller(FewAccounts.other))
            try await store.objects.setQuota(100, ofBucket: "first")
            try await QuotaTests.put(store, "first", "k", 100)
            let refused = await #expect(throws: Fault.self) { try await QuotaTests.put(store, "first", "more", 1) }
            #expect(refused?.code == .quotaExceeded && refused?.kind == .bucket)
            let uses = try await store.objects.useOfBuckets()
            #expect(uses.map(\.bucket) == ["first", "second", "theirs"])
            #expect(uses.map(\.account) == [FewAccounts.owner, FewAccounts.owner, FewAccounts.other].map(\.number))
            #expect(uses.map(\.bytesMax) == [100, nil, nil] && uses.map(\.usage.bytes) == [100, 0, 0])
            try await store.objects.setQuota(nil, ofBucket: "first")
            try await QuotaTests.put(store, "first", "more", 1)
            try await store.objects.setQuota(50, ofAccount: FewAccounts.owner.number)
            let full = await #expect(throws: Fault.self) { try await QuotaTests.put(store, "second", "k", 1) }
            #expect(full?.code == .quotaExceeded && full?.kind == .account)
            // Nobody says beforehand how long these are.
            try await store.objects.setQuota(150, ofAccount: FewAccounts.owner.number)
            let long = await #expect(throws: Fault.self) { try await QuotaTests.put(store, "second", "k", 50) }
            #expect(long?.code == .quotaExceeded && long?.kind == .account)
            try await QuotaTests.put(store, "second", "k", 49)
            try await store.objects.setQuota(nil, ofAccount: FewAccounts.owner.number)
            try await QuotaTests.put(store, "second", "more", 1)
        }
    }

    @Test func limitsThatCannotBe() async throws {
        try await TestedStore.with(.memory) { store in
            _ = try await store.objects.createBucket(NewBucket(name: "first"), by: store.caller())
            for bytes: Int64 in [0, -1, .min] {
                let ofBucket = await #expect(throws: Fault.self) { try await store.objects.setQuota(bytes, ofBucket: "first") }
                let ofAccount = await #expect(throws: Fault.self) {
                    try await store.objects.setQuota(bytes, ofAccount: FewAccounts.owner.number)
                }
                #expect(ofBucket?.code == .invalidParameter && ofAccount?.code == .invalidParameter)
            }
            let bucket = await #expect(throws: Fault.self) { try await store.objects.setQuota(1, ofBucket: "none") }
            let account = await #expect(throws: Fault.self) { try await store.objects.setQuota(1, ofAccount: "999999999999") }
            #expect(bucket?.code == .notFound && account?.code == .notFound)
        }
    }
}
