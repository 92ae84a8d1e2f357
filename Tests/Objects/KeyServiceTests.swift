//  The key service's file: what was made is there afterwards, whoever made what beside it.

import Authority
import Foundation
import Model
import Testing

@testable import Objects

@Suite struct KeyServiceTests {
    private func withFile(_ body: (_ path: String, _ open: () throws -> LocalKeyService) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "karri-keys-\(Chance.system.bits())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let seal = Seal(generatedFrom: .system)
        let path = folder + "/keys.json"
        try await body(path) { try LocalKeyService(path: path, seal: seal, chance: .system, region: "r") }
    }

    private static func account(_ number: Int) -> AccountScope {
        AccountScope(id: ID(bits: UInt64(number)), number: String(100_000_000_000 + number))
    }

    /// Two calls for each of many accounts at once make one key each, and all outlive the process.
    @Test func keysMadeSideBySideAreKept() async throws {
        try await withFile { _, open in
            let keys = try open()
            let sealed = try await withThrowingTaskGroup(of: (String, [UInt8]).self) { group in
                for number in 0..<80 {
                    group.addTask {
                        let name = try await keys.name(of: nil, for: Self.account(number % 40))
                        return (name, try await keys.seal(Array(name.utf8), under: name, belonging: "k"))
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(Set(sealed.map(\.0)).count == 40)
            let again = try open()
            #expect(await again.all.count == 40)
            for (name, bytes) in sealed { #expect(try await again.open(bytes, under: name, belonging: "k") == Array(name.utf8)) }
        }
    }

    /// What could not be saved is not there.
    @Test func whatIsNotSavedIsNotThere() async throws {
        try await withFile { path, open in
            let keys = try open()
            let kept = try await keys.create(for: Self.account(1))
            // A folder in the file's place cannot be replaced by a file.
            try FileManager.default.removeItem(atPath: path)
            try FileManager.default.createDirectory(atPath: path + "/in-the-way", withIntermediateDirectories: true)
            await #expect(throws: Fault.self) { try await keys.create(for: Self.account(2)) }
            await #expect(throws: Fault.self) { try await keys.setEnabled(false, kept.id) }
            #expect(await keys.all == [kept])
        }
    }
}
