//  What a durable PUT is held against: a plain file, written beside its place, synced, and renamed.

import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// Writes files from several threads at once.
struct SyncedFiles: Sendable {
    let folder: String

    /// - Parameter keys: How many files there are; they are written over by turns.
    func write(_ body: [UInt8], writers: Int, keys: Int, _ counter: CallCounter) async throws(Fault) -> LoadFigure {
        let began = ContinuousClock.now
        let results = await withTaskGroup(of: Result<(Int, Double), Fault>.self) { group in
            for _ in 0..<writers {
                let writer = FileWriter(folder: folder)
                group.addTask { await writer.run(body, keys: keys, counter) }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        var figure = LoadFigure(calls: 0, seconds: seconds(ContinuousClock.now - began), cpuSeconds: 0)
        for result in results {
            let (calls, cpu) = try result.get()
            figure.calls += calls
            figure.cpuSeconds += cpu
        }
        return figure
    }
}

/// One writer on a thread of its own.
private actor FileWriter {
    private let folder: String
    private let executor = BlockingExecutor(name: "karri.bench.files")

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(folder: String) { self.folder = folder }

    /// - Returns: How many files, and the CPU seconds that they took.
    func run(_ body: [UInt8], keys: Int, _ counter: CallCounter) -> Result<(Int, Double), Fault> {
        let before = Measured.threadSeconds()
        var done = 0
        while let number = counter.take() {
            do throws(Fault) { try write(body, "\(folder)/\(body.count)-\(number % keys)", number) } catch {
                return .failure(error)
            }
            done += 1
        }
        return .success((done, Measured.threadSeconds() - before))
    }

    private func write(_ body: [UInt8], _ path: String, _ number: Int) throws(Fault) {
        let beside = "\(folder)/new-\(number)"
        let file = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Fault(.storage, "could not make \(beside): \(systemError())") }
        defer { close(file) }
        var written = 0
        while written < body.count {
            let count = body.withUnsafeBytes { Glibc.write(file, $0.baseAddress.map { $0 + written }, $0.count - written) }
            guard count > 0 else { throw Fault(.storage, "could not write \(beside): \(systemError())") }
            written += count
        }
        guard fdatasync(file) == 0, rename(beside, path) == 0 else {
            throw Fault(.storage, "could not keep \(path): \(systemError())")
        }
        try AtomicFile.syncFolder(of: path)
    }
}
