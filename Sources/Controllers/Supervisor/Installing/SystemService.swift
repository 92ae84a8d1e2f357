//  Starts the cloud again after a reboot: a systemd unit where systemd is, else a line to put
//  wherever the machine starts things.

import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// The unit of one installation.
public struct SystemService: Sendable, Hashable {
    public var installation: Installation
    /// The absolute path of the built program.
    public var program: String
    /// What runs the supervisor in the foreground.
    public var arguments: [String]

    public init(_ installation: Installation, program: String, arguments: [String]) {
        self.installation = installation
        self.program = program
        self.arguments = arguments
    }

    public enum Outcome: Sendable, Hashable {
        /// The unit is in place and enabled; it was not started.
        case installed(path: String)
        /// There is no systemd. The line starts the cloud.
        case byHand(line: String)
    }

    private static let marker = "# Written by Karri; karri uninstall removes it."

    private var path: String { "\(installation.root)/etc/systemd/system/\(name)" }
    private var name: String { "\(installation.mark).service" }

    /// KillMode=process leaves the guests, libvirtd and storage daemons alone when the unit stops;
    /// Delegate keeps systemd's hands off the groups below it.
    public var unit: String {
        """
        \(SystemService.marker)
        [Unit]
        Description=Karri, a private cloud (\(installation.mark))
        After=network-online.target local-fs.target time-sync.target
        Wants=network-online.target

        [Service]
        Type=exec
        ExecStart=\(([program] + arguments).map(SystemService.quoted).joined(separator: " "))
        Restart=on-failure
        RestartSec=2
        KillMode=process
        Delegate=yes
        TimeoutStopSec=90
        LimitNOFILE=1048576
        TasksMax=infinity

        [Install]
        WantedBy=multi-user.target

        """
    }

    /// Writes and enables the unit, or says what to type. Safe to run again.
    ///
    /// - Throws: `Fault.inUse` if a unit of that name is not Karri's.
    public func install() async throws(Fault) -> Outcome {
        guard installation.root.isEmpty, SystemService.hasSystemd else {
            return .byHand(line: ([program] + arguments).map(SystemService.quotedForShell).joined(separator: " "))
        }
        if let present = readText(path), !present.hasPrefix(SystemService.marker) {
            throw Fault(.inUse, "\(path) was not written by Karri; remove or rename it")
        }
        try AtomicFile.write(Array(unit.utf8), to: path, mode: 0o644)
        try await Command.run("systemctl", ["daemon-reload"])
        try await Command.run("systemctl", ["enable", name])
        return .installed(path: path)
    }

    /// Disables and removes the unit if it is Karri's. What runs goes on.
    public func remove() async throws(Fault) {
        guard let present = readText(path), present.hasPrefix(SystemService.marker) else { return }
        if SystemService.hasSystemd { try await Command.run("systemctl", ["disable", name]) }
        guard unlink(path) == 0 else { throw Fault(.storage, "could not remove \(path): \(systemError())") }
        if SystemService.hasSystemd { try await Command.run("systemctl", ["daemon-reload"]) }
    }

    /// Whether systemd runs this machine (sd_booted(3)).
    public static var hasSystemd: Bool { access("/run/systemd/system", F_OK) == 0 }

    static func quotedForShell(_ word: String) -> String {
        isPlain(word) ? word : "'\(word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''"))'"
    }

    /// One word of ExecStart (systemd.service(5)), where `%` and `$` have a meaning of their own.
    static func quoted(_ word: String) -> String {
        if isPlain(word) { return word }
        let escaped = word.flatMap { letter -> String in
            switch letter {
            case "\\", "\"": "\\\(letter)"
            case "%": "%%"
            case "$": "$$"
            default: String(letter)
            }
        }
        return "\"\(String(escaped))\""
    }

    private static func isPlain(_ word: String) -> Bool {
        !word.isEmpty && word.unicodeScalars.allSatisfy { plain.contains($0) }
    }

    private static let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-=:,@+".unicodeScalars)
}
