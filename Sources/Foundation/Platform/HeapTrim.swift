//  Gives memory back to the kernel. glibc keeps what a long list or a busy minute has freed, spread over
//  its heaps, for as long as the process lives; a cloud's processes live long and are idle mostly.

import CLinux

#if canImport(Glibc)
    import Glibc
#endif

/// Looks at the process's own heap now and then.
public enum HeapTrim {
    static let pause = Duration.seconds(10)
    /// How much more must be resident than after the last time to be worth the walk over the heaps,
    /// which takes some ten milliseconds for each hundred megabytes.
    static let growthBytes = 8 << 20

    /// Runs until cancelled.
    public static func run() async throws {
        let executor = BlockingExecutor(name: "karri.heap")
        let trimmer = Trimmer(executor: executor)
        while true {
            try await Task.sleep(for: pause)
            await trimmer.look()
        }
    }

    /// Bytes of this process that are in memory, shared ones included (proc(5), statm).
    static func residentBytes() -> Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard fgets(&line, Int32(line.count), file) != nil else { return 0 }
        let fields = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * sysconf(Int32(_SC_PAGESIZE)) : 0
    }

    private actor Trimmer {
        private let executor: BlockingExecutor
        private var before = 0

        init(executor: BlockingExecutor) { self.executor = executor }

        nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

        func look() {
            guard HeapTrim.residentBytes() > before + HeapTrim.growthBytes else { return }
            karri_trim_heap()
            before = HeapTrim.residentBytes()
        }
    }
}
