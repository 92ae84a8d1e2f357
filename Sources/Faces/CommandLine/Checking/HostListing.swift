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
        let guests = GuestFolder.all(of: installation)
        things.guestFolders = Set(names(in: guests))
        things.users = Set(names(in: installation.node + "/slots"))
        things.disks = Set(names(in: installation.pool + "/disks").map { HostListing.stem($0) })
            .union(names(in: installation.pool + "/records").map { HostListing.stem($0) })
        things.images = Set(names(in: installation.pool + "/images"))
        things.uploads = Set(names(in: installation.uploads).filter { ID<Image>(hex: $0) != nil })
        for process in names(in: "/proc") where process.allSatisfy(\.isNumber) {
            guard let name = HostListing.machine(ofCommand: text(of: "/proc/\(process)/cmdline"), guests: guests) else { continue }
            things.processes[name, default: 0] += 1
        }
        return things
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
