//  Which accelerator this host's machines get. /dev/kvm and libvirt's own word are no proof: a host
//  was seen where both say yes and a kernel takes minutes to boot. So a sector is booted under each.

import Model
import Platform

/// What the probe found. The caller keeps it; a host's answer changes with its kernel or its QEMU.
public struct AcceleratorFinding: Sendable, Hashable, Codable {
    public var accelerator: Machine.Accelerator
    /// One sentence for a person.
    public var reason: String

    public init(accelerator: Machine.Accelerator, reason: String) {
        self.accelerator = accelerator
        self.reason = reason
    }
}

public enum AcceleratorProbe {
    /// A healthy KVM boots the sector in a tenth of that.
    static let kvmMillisecondsMax: Int64 = 1000
    static let tcgMillisecondsMax: Int64 = 30000

    /// 16-bit code that writes 0x10 to port 0xf4: isa-debug-exit then ends QEMU with status 33.
    static let bootSector: [UInt8] =
        [0xba, 0xf4, 0x00, 0xb0, 0x10, 0xee, 0xf4, 0xeb, 0xfd] + [UInt8](repeating: 0, count: 501) + [0x55, 0xaa]

    /// How one boot ended.
    struct Outcome: Hashable {
        var status: Int
        var milliseconds: Int64
        var words: String
    }

    /// Boots a tiny guest under TCG, then under KVM as guests would have it: 0.1 s and at most 1 s.
    ///
    /// - Parameter folder: Where the sector's file is made for the moment.
    /// - Throws: `Fault.driver` if not even TCG runs it: then this host runs no machine.
    public static func run(
        folder: String, chance: Chance = .system, emulator: String = "/usr/bin/qemu-system-x86_64"
    ) async throws(Fault) -> AcceleratorFinding {
        let image = "\(folder)/probe-\(hexDigits(chance.bits())).img"
        try AtomicFile.write(bootSector, to: image)
        defer { BoundedLog.removeFile(image) }
        let tcg = try await boot(image, "tcg", "max", tcgMillisecondsMax, chance, emulator)
        guard tcg.status == 33 else {
            throw Fault(.driver, "QEMU does not run on this host", kind: .host, cause: "status \(tcg.status): \(tcg.words)")
        }
        let kvm = try await boot(image, "kvm", "host", kvmMillisecondsMax, chance, emulator)
        return judge(tcg: tcg, kvm: kvm)
    }

    /// KVM is usable only if the sector ran under it within a second.
    static func judge(tcg: Outcome, kvm: Outcome) -> AcceleratorFinding {
        if kvm.status == 33, kvm.milliseconds <= kvmMillisecondsMax {
            return AcceleratorFinding(accelerator: .kvm, reason: "KVM ran a test guest in \(kvm.milliseconds) ms")
        }
        let slow = kvm.status == 33 || kvm.status == 124 || kvm.status == 137 || kvm.status == -9
        let why =
            slow
            ? "KVM did not run a test guest within \(kvmMillisecondsMax) ms (QEMU's translator: \(tcg.milliseconds) ms)"
            : "KVM refused a test guest: \(kvm.words)"
        return AcceleratorFinding(accelerator: .tcg, reason: why)
    }

    private static func boot(
        _ image: String, _ accelerator: String, _ cpu: String, _ millisecondsMax: Int64, _ chance: Chance, _ emulator: String
    ) async throws(Fault) -> Outcome {
        let start = chance.now()
        let seconds = String(Double(millisecondsMax) / 1000)
        let result = try await Command.attempt(
            "timeout",
            [
                "--signal=KILL", seconds, emulator, "-accel", accelerator, "-cpu", cpu, "-M", "pc", "-m", "16", "-nodefaults",
                "-no-user-config", "-display", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-drive",
                // A comma in an option is written twice.
                "file=\(image.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")),format=raw,if=ide,snapshot=on",
            ])
        let (whole, part) = (chance.now() - start).components
        let words = result.error.split(separator: "\n").last.map { String($0.suffix(300)) } ?? "no message"
        return Outcome(status: result.status, milliseconds: whole * 1000 + part / 1_000_000_000_000_000, words: words)
    }
}
