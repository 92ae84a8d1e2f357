//  The program as the cloud's processes run it: a copy of root's own in the state folder, with the
//  libraries that a developer's machine keeps in a home folder. The processes' users can read it,
//  and a later build does not change it under them.

import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// The absolute path of the program that runs now.
func ownProgram() throws(Fault) -> String {
    guard let path = realpath("/proc/self/exe", nil) else {
        throw Fault(.internalError, "the program's own file cannot be found: \(systemError())")
    }
    defer { free(path) }
    return String(cString: path)
}

enum InstalledProgram {
    /// The dynamic loader of x86-64 (its path is part of the ABI).
    static let loader = "/lib64/ld-linux-x86-64.so.2"

    /// Puts this program into the state folder unless it is there already.
    ///
    /// - Returns: The path to run.
    static func install(_ installation: Installation) async throws(Fault) -> String {
        let program = try ownProgram()
        if program.hasPrefix(installation.state + "/program-") { return program }
        let files = [program] + foreignLibraries(text(of: "/proc/self/maps"))
        let folder = "\(installation.state)/program-\(try fingerprint(of: files))"
        let installed = folder + "/karri"
        if exists(installed) { return installed }
        let fresh = folder + ".new"
        try await Command.run("rm", ["-rf", "--one-file-system", "--", fresh])
        try makeFolder(fresh, mode: 0o755)
        for file in files {
            let name = file == program ? "karri" : String(file[file.index(after: file.lastIndex(of: "/") ?? file.startIndex)...])
            try await Command.run("cp", ["--reflink=auto", "--", file, "\(fresh)/\(name)"])
            guard chmod("\(fresh)/\(name)", 0o755) == 0 else { throw Fault(.storage, "could not copy \(file): \(systemError())") }
        }
        guard symlink("karri", "\(fresh)/\(HeaderReader.name)") == 0 else {
            throw Fault(.storage, "could not put \(folder) in place: \(systemError())")
        }
        // On the disk before it has its name: a power cut would leave a program of zeros in place for good.
        try await Command.run("sync", Folder.names(in: fresh).map { "\(fresh)/\($0)" } + [fresh])
        guard rename(fresh, folder) == 0 else {
            throw Fault(.storage, "could not put \(folder) in place: \(systemError())")
        }
        try AtomicFile.syncFolder(of: folder)
        return installed
    }

    /// Removes copies that this one replaced.
    static func removeOthers(_ installation: Installation, keeping program: String) async throws(Fault) {
        let kept = folder(of: program)
        for name in Folder.readableNames(in: installation.state) where name.hasPrefix("program-") {
            let path = "\(installation.state)/\(name)"
            if path != kept { try await Command.run("rm", ["-rf", "--one-file-system", "--", path]) }
        }
    }

    /// The mapped libraries that no folder of the system holds (proc(5), maps).
    static func foreignLibraries(_ maps: String) -> [String] {
        var found: [String] = []
        for line in maps.split(separator: "\n") {
            guard let slash = line.firstIndex(of: "/") else { continue }
            let path = String(line[slash...])
            let isSystem = ["/lib/", "/lib64/", "/usr/lib/", "/usr/lib64/"].contains { path.hasPrefix($0) }
            let name = path.split(separator: "/").last.map(String.init) ?? ""
            guard !isSystem, name.hasSuffix(".so") || name.contains(".so."), !found.contains(path) else { continue }
            found.append(path)
        }
        // In the order of their addresses they would come differently each time.
        return found.sorted()
    }

    /// Sixteen hex digits that change with any of the files (FNV-1a over what the file system says of them).
    private static func fingerprint(of files: [String]) throws(Fault) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for file in files {
            var facts = stat()
            guard stat(file, &facts) == 0 else { throw Fault(.storage, "could not look at \(file): \(systemError())") }
            for byte in "\(file) \(facts.st_size) \(facts.st_mtim.tv_sec) \(facts.st_mtim.tv_nsec) \(facts.st_ino)".utf8 {
                hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
            }
        }
        return hexDigits(hash)
    }
}
