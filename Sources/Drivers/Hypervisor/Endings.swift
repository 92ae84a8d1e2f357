//  Why machines ended. libvirt forgets a transient domain with its last event, so the reason is kept
//  here, and beside the machine's log for a later process.

import Dispatch
import Model
import Platform
import Synchronization

final class Endings: Sendable {
    private let installation: Installation
    private let now: @Sendable () -> Instant
    private let known = Mutex<[String: GuestFolder.Ended]>([:])
    /// Notes are told on libvirt's event thread, which must not wait for a disk.
    private let writer = DispatchQueue(label: "karri.libvirt.endings")

    init(installation: Installation, now: @escaping @Sendable () -> Instant) {
        self.installation = installation
        self.now = now
    }

    func note(_ name: String, _ reason: MachineStatus.Reason) {
        guard let folder = try? GuestFolder(installation: installation, name: name), folder.exists else { return }
        let ended = GuestFolder.Ended(reason: reason, at: now())
        known.withLock { $0[name] = ended }
        writer.async { [self] in
            // Without the file the reason is "unknown" to a later process; that is not worth a fault.
            if folder.exists { try? folder.noteEnd(ended) } else { forget(name) }
        }
    }

    func forget(_ name: String) { known.withLock { _ = $0.removeValue(forKey: name) } }

    /// Removes a machine's folder and what is known of its end, in turn with the notes: one written
    /// meanwhile would keep the folder from going. Blocks.
    func forget(_ name: String, removing folder: GuestFolder) throws(Fault) {
        let result = writer.sync {
            forget(name)
            return Result { () throws(Fault) in try folder.remove() }
        }
        try result.get()
    }

    /// The last ending of a machine that does not run.
    func ended(_ name: String) -> GuestFolder.Ended? {
        if let ended = known.withLock({ $0[name] }) { return ended }
        guard let folder = try? GuestFolder(installation: installation, name: name), let ended = try? folder.ended() else {
            return nil
        }
        // A note of an earlier run that came late says nothing about this one.
        guard let started = folder.startedAt, ended.at >= started else { return nil }
        return ended
    }
}
