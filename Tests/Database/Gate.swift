import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Lets a closure on a database's thread and a test wait for each other. Waiting ends after ten
/// seconds, so that a broken driver fails a test instead of hanging it.
final class Gate: Sendable {
    private let state = Mutex(false)

    var isOpen: Bool { state.withLock { $0 } }
    func open() { state.withLock { $0 = true } }

    /// On a thread that may block.
    func wait() {
        for _ in 0..<10_000 where !isOpen { usleep(1000) }
    }

    func opened() async {
        for _ in 0..<10_000 where !isOpen { try? await Task.sleep(for: .milliseconds(1)) }
    }
}
