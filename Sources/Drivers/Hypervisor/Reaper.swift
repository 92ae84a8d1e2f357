//  The parent of libvirtd and, once libvirtd has let them go, of every QEMU. It does two small things
//  for as long as any of them lives, also while Karri is away:
//
//  - It reaps at once. libvirt waits until a QEMU's pid has vanished; where PID 1 reaps late, ending
//    a machine takes 2 seconds instead of a quarter.
//  - It keeps the guests' serial logs, and QEMU's own, from filling the disk.

import CLinux
import Dispatch
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

public enum Reaper {
    private static let trimSeconds = 2

    /// Runs a program as its subreaper, until it and all that it left behind have ended.
    ///
    /// - Parameter arguments: `--bound FOLDER`, any number of times, then `--`, the program's path and
    ///   its arguments. In a bound folder and in the folders in it, files named `*.log` are kept short.
    /// - Returns: The program's exit status, or 126 when it could not be run.
    public static func run(_ arguments: [String]) -> Int32 {
        guard let (folders, command) = parse(arguments) else {
            say("usage: [--bound FOLDER]... -- PROGRAM [ARGUMENT]...")
            return 126
        }
        guard karri_become_subreaper() == 0, let program = spawn(command) else {
            say("could not run \(command.joined(separator: " ")): \(systemError())")
            return 126
        }
        let timer = DispatchSource.makeTimerSource(queue: DispatchQueue(label: "karri.reaper.logs"))
        timer.schedule(deadline: .now(), repeating: .seconds(trimSeconds))
        timer.setEventHandler { for folder in folders { trim(folder) } }
        timer.resume()
        defer { timer.cancel() }
        return reap(program)
    }

    static func parse(_ arguments: [String]) -> (folders: [String], command: [String])? {
        var folders: [String] = []
        var rest = arguments[...]
        while let first = rest.popFirst() {
            switch first {
            case "--bound":
                guard let folder = rest.popFirst() else { return nil }
                folders.append(folder)
            case "--": return rest.isEmpty ? nil : (folders, Array(rest))
            default: return nil
            }
        }
        return nil
    }

    private static func spawn(_ command: [String]) -> pid_t? {
        var words: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        guard let path = words.first.flatMap({ $0 }) else { return nil }
        var process: pid_t = 0
        let failure = posix_spawnp(&process, path, nil, nil, words, environ)
        errno = failure
        return failure == 0 ? process : nil
    }

    private static func reap(_ program: pid_t) -> Int32 {
        var result: Int32 = 0
        while true {
            var status: Int32 = 0
            let ended = waitpid(-1, &status, 0)
            if ended < 0, errno == EINTR { continue }
            if ended < 0 { return result }
            // wait(2): the low seven bits are the signal, the next byte the exit status.
            if ended == program { result = status & 0x7f == 0 ? (status >> 8) & 0xff : 128 + (status & 0x7f) }
        }
    }

    /// Cuts what is too long. A file that cannot be cut is tried again the next time.
    static func trim(_ folder: String) {
        for name in Folder.readableNames(in: folder) {
            let path = folder + "/" + name
            if name.hasSuffix(".log") {
                _ = try? BoundedLog(path).trim()
                continue
            }
            var status = stat()
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { continue }
            for inner in Folder.readableNames(in: path) where inner.hasSuffix(".log") {
                _ = try? BoundedLog(path + "/" + inner).trim()
            }
        }
    }

    private static func say(_ text: String) {
        let bytes = Array("reaper: \(text)\n".utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
    }
}
