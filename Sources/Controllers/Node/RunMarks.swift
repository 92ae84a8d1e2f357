//  What this host did with its machines since it booted: small files on a file system that a
//  reboot empties, so that a machine which ran before the reboot is started again and one that
//  powered itself off is not.

import FoundationEssentials
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// The marks of all machines.
actor RunMarks {
    private let folder: String?
    private var marks: [ID<Instance>: RunMark] = [:]

    /// - Parameter folder: Nil keeps them in memory only.
    init(folder: String?) { self.folder = folder }

    func open() throws(Fault) {
        guard let folder else { return }
        try Folder.make(folder, mode: 0o755)
        for name in Folder.readableNames(in: folder) {
            guard let id = ID<Instance>(hex: name), let bytes = try AtomicFile.read("\(folder)/\(name)", limit: 64) else {
                continue
            }
            let words = String(decoding: bytes, as: UTF8.self).split(separator: " ").compactMap { UInt64($0) }
            if words.count == 2 { marks[id] = RunMark(starts: words[0], reboots: words[1]) }
        }
    }

    func mark(of id: ID<Instance>) -> RunMark? { marks[id] }

    func set(_ mark: RunMark?, of id: ID<Instance>) throws(Fault) {
        if let folder {
            if let mark {
                try AtomicFile.write(Array("\(mark.starts) \(mark.reboots)".utf8), to: "\(folder)/\(id.hex)")
            } else {
                unlink("\(folder)/\(id.hex)")
            }
        }
        marks[id] = mark
    }
}

/// Which of the host's guest users each machine runs as. A machine keeps its user for life.
actor GuestSlots {
    private let folder: String?
    private var slots: [ID<Instance>: UInt32] = [:]
    private var taken: Set<UInt32> = []

    init(folder: String?) { self.folder = folder }

    func open() throws(Fault) {
        guard let folder else { return }
        try Folder.make(folder, mode: 0o755)
        for name in Folder.readableNames(in: folder) {
            guard let id = ID<Instance>(hex: name), let bytes = try AtomicFile.read("\(folder)/\(name)", limit: 16),
                let slot = UInt32(String(decoding: bytes, as: UTF8.self))
            else { continue }
            slots[id] = slot
            taken.insert(slot)
        }
    }

    /// Whether the machine has a user.
    func holds(_ id: ID<Instance>) -> Bool { slots[id] != nil }

    /// The machine's user, chosen now if it has none.
    func user(of id: ID<Instance>) throws(Fault) -> UInt32 {
        if let slot = slots[id], let user = GuestUsers.user(Int(slot)) { return user }
        guard let free = (0..<UInt32(GuestUsers.range.count)).first(where: { !taken.contains($0) }),
            let user = GuestUsers.user(Int(free))
        else { throw Fault(.noCapacity, "The host has no user left for a guest.", kind: .host) }
        if let folder { try AtomicFile.write(Array(String(free).utf8), to: "\(folder)/\(id.hex)") }
        slots[id] = free
        taken.insert(free)
        return user
    }

    func release(_ id: ID<Instance>) {
        guard let slot = slots.removeValue(forKey: id) else { return }
        taken.remove(slot)
        if let folder { unlink("\(folder)/\(id.hex)") }
    }
}
