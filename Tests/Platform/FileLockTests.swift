//  Locks on files: one holder at a time, and nothing closed but the lock's own descriptor.

import Foundation
import Model
import Testing

@testable import Platform

struct FileLockTests {
    private let path = NSTemporaryDirectory() + "karri-lock-\(UUID().uuidString)"

    @Test func oneHolderAtATime() throws {
        defer { unlink(path) }
        let lock = try FileLock(path)
        #expect(throws: Fault.self) { _ = try FileLock(path) }
        lock.release()
        _ = try FileLock(path)
        _ = try FileLock(path)
    }

    @Test func aFolderIsNoLock() throws {
        let fault = #expect(throws: Fault.self) { _ = try FileLock(NSTemporaryDirectory()) }
        #expect(fault?.code == .storage)
    }

    /// A descriptor that a refused lock closed twice would be somebody else's the second time.
    @Test func aRefusalClosesOneDescriptor() async throws {
        defer { unlink(path) }
        let lock = try FileLock(path)
        async let wronged = Task.detached {
            (0..<20_000).count { _ in
                let other = open("/dev/null", O_RDONLY | O_CLOEXEC)
                sched_yield()
                return close(other) != 0
            }
        }.value
        for _ in 0..<20_000 { #expect(throws: Fault.self) { _ = try FileLock(path) } }
        #expect(await wronged == 0)
        lock.release()
    }
}
