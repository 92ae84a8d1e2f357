//  What a host has, read from its kernel and folders without changing anything, by a process that is
//  not *node*: it may be asked while *node* runs, and when it does not.

import Dataplane
import Hypervisor
import Logging
import Model
import Platform

struct HostListing: Sendable {
    let installation: Installation
    let log: Logger

    func things() async throws(Fault) -> HostThings {
        var things = HostThings()
        let dataplane = try LinuxDataplane(installation: installation, log: log)
        let links = try await dataplane.taps()
        things.taps = Set(links.keys)
        things.namespaces = Set(try await dataplane.domains().map { dataplane.names.namespace($0) })
        things.hostLinks = Set(try await dataplane.hostEnds())
        things.guestFolders = Set(Folder.readableNames(in: GuestFolder.all(of: installation)))
        things.users = Set(Folder.readableNames(in: installation.node + "/slots"))
        things.disks = Set(Folder.readableNames(in: installation.pool + "/disks").map { HostListing.stem($0) })
            .union(Folder.readableNames(in: installation.pool + "/records").map { HostListing.stem($0) })
        things.images = Set(Folder.readableNames(in: installation.pool + "/images"))
        things.uploads = Set(Folder.readableNames(in: installation.uploads).filter { ID<Image>(hex: $0) != nil })
        for process in HostListing.emulators(of: installation) { things.processes[process.machine, default: 0] += 1 }
        return things
    }

    /// The QEMU processes of a cloud's machines.
    static func emulators(of installation: Installation) -> [(id: Int32, machine: String)] {
        let guests = GuestFolder.all(of: installation)
        return Folder.readableNames(in: "/proc").compactMap { Int32($0) }.compactMap { process in
            machine(ofCommand: text(of: "/proc/\(process)/cmdline"), guests: guests).map { (process, $0) }
        }
    }

    /// A file's name up to its first dot.
    static func stem(_ name: String) -> String { String(name.prefix { $0 != "." }) }

    /// The machine that a process is QEMU for, by its command line (proc(5)): nil for any other
    /// process, and for the machines of another cloud.
    static func machine(ofCommand line: String, guests: String) -> String? {
        let words = line.split(separator: "\0")
        guard words.first?.hasSuffix("/qemu-system-x86_64") == true, let flag = words.firstIndex(of: "-name"),
            words.indices.contains(flag + 1),
            // `guest=NAME,process=…`
            let guest = words[flag + 1].split(separator: ",").first(where: { $0.hasPrefix("guest=") })
        else { return nil }
        let name = guest.dropFirst("guest=".count)
        return line.contains("\(guests)/\(name)/") ? String(name) : nil
    }
}
