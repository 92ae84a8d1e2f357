//  Which cloud of this machine a command is about, and the paths that the command line adds to the
//  installation's own.

import ArgumentParser
import Dataplane
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// The options that every command has: the machine's own cloud unless said otherwise.
struct PlaceOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "A folder under which all files lie, for another than the machine's own cloud.", valueName: "folder"))
    var root = ""

    @Option(help: "Begins the name of everything that the cloud makes on this host: up to 6 lower-case letters and digits.")
    var mark = "karri"

    /// - Throws: `.invalidParameter` for a mark or root that cannot be.
    func installation() throws(Fault) -> Installation {
        _ = try DataplaneNames(mark: mark)
        return Installation(root: try PlaceOptions.absolute(root), mark: mark)
    }

    /// A path without `.`, `..` and a slash at its end; "" stays.
    static func absolute(_ path: String) throws(Fault) -> String {
        guard !path.isEmpty else { return "" }
        var whole = path
        if !path.hasPrefix("/") {
            guard let folder = getcwd(nil, 0) else { throw Fault(.storage, "the current folder is gone") }
            defer { free(folder) }
            whole = String(cString: folder) + "/" + path
        }
        var parts: [Substring] = []
        for part in whole.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return parts.map { "/" + $0 }.joined()
    }

    /// What repeats these options on another command line.
    static func arguments(_ installation: Installation) -> [String] {
        (installation.root.isEmpty ? [] : ["--root", installation.root])
            + (installation.mark == "karri" ? [] : ["--mark", installation.mark])
    }
}

extension Installation {
    /// Where edge dials node.
    var edgeSocket: String { run + "/edge/edge.sock" }
    /// Files on their way into the pool, under their images' ids.
    var uploads: String { pool + "/uploads" }
    /// The store's file where it is SQLite's.
    var storeFile: String { store + "/karri.db" }
    /// One file an account: its administrator's keys. Root's alone.
    var credentials: String { configuration + "/credentials" }
    /// What the host's accelerator was found to be.
    var acceleratorFinding: String { node + "/accelerator.json" }
    var starterImages: String { state + "/starter-images" }
}

/// Stops a command that only root can do, saying how to go on.
func requireRoot(_ command: String) throws(Fault) {
    guard geteuid() == 0 else { throw Fault(.denied, "this needs root: sudo karri \(command)") }
}

func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

/// A folder that is there afterwards.
func makeFolder(_ path: String, mode: UInt32) throws(Fault) {
    guard mkdir(path, mode_t(mode)) == 0 || errno == EEXIST, chmod(path, mode_t(mode)) == 0 else {
        throw Fault(.storage, "could not make \(path): \(systemError())")
    }
}
