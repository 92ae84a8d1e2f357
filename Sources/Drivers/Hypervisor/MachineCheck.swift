//  Refuses machines that could not be, before anything is made of them: names become paths, cgroups
//  and XML, so what may stand in them is decided in one place.

import Model

enum MachineCheck {
    static let disksMax = 24
    static let interfacesMax = 16

    /// - Throws: `Fault.invalidParameter` with what is wrong.
    static func check(_ machine: Machine) throws(Fault) {
        try check(name: machine.name)
        try require(machine.uuid.utf8.count == 36 && machine.uuid.utf8.allSatisfy(isUUIDByte), "uuid \(machine.uuid) is malformed")
        try require((1...255).contains(machine.virtualCPUs), "a machine has 1 to 255 CPUs")
        try require((16 << 20...16 << 40).contains(machine.memory.bytes), "a machine has 16 MiB to 16 TiB of memory")
        try require(machine.memory.bytes % (1 << 20) == 0, "a machine's memory is a whole number of MiB")
        try require(machine.uid != 0 && machine.gid != 0, "a machine's user and group are not root")
        try require(machine.disks.count <= disksMax, "a machine has at most \(disksMax) disks")
        try require(machine.interfaces.count <= interfacesMax, "a machine has at most \(interfacesMax) interfaces")
        let size = machine.metadata.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        try require(size <= 4096, "metadata is longer than 4 KiB")
        switch machine.boot {
        case .disk: try require(!machine.disks.isEmpty, "a machine without a disk has nothing to boot")
        case .kernel(let kernel, let ramdisk, let commandLine):
            try check(path: kernel)
            if let ramdisk { try check(path: ramdisk) }
            try require(commandLine.utf8.count <= 2048, "the kernel's command line is longer than 2048 bytes")
        }
        for disk in machine.disks { try check(disk) }
        try require(Set(machine.disks.map(\.serial)).count == machine.disks.count, "two disks have one serial")
        for interface in machine.interfaces { try check(interface) }
    }

    /// A machine's name is also a folder's and a cgroup's.
    static func check(name: String) throws(Fault) {
        let first = name.utf8.first.map { isLetterOrDigit($0) } ?? false
        let rest = name.utf8.allSatisfy {
            isLetterOrDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
        }
        try require(first && rest && name.utf8.count <= 63, "\"\(name)\" is no machine's name")
    }

    private static func check(_ disk: Machine.Disk) throws(Fault) {
        let plain = disk.serial.utf8.allSatisfy { isLetterOrDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
        try require(plain && (1...20).contains(disk.serial.utf8.count), "\"\(disk.serial)\" is no disk's serial")
        try require((1...64).contains(disk.chain.count), "a disk's chain has 1 to 64 files")
        for layer in disk.chain { try check(path: layer.path) }
        try require(disk.chain.dropLast().allSatisfy { $0.format == .qcow2 }, "a raw file has no backing file")
        try require(Set(disk.chain.map(\.path)).count == disk.chain.count, "a disk's chain names one file twice")
        try require((disk.bytesPerSecondMax ?? 1) > 0 && (disk.operationsPerSecondMax ?? 1) > 0, "a disk's rate is above 0")
    }

    private static func check(_ interface: Machine.Interface) throws(Fault) {
        let tap = interface.tap.utf8
        let named = tap.allSatisfy {
            isLetterOrDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
        }
        try require(named && (1...15).contains(tap.count), "\"\(interface.tap)\" is no tap's name")
        let pairs = interface.mac.split(separator: ":", omittingEmptySubsequences: false)
        try require(
            pairs.count == 6 && pairs.allSatisfy { $0.utf8.count == 2 && $0.utf8.allSatisfy(isHexDigit) },
            "\"\(interface.mac)\" is no MAC")
        try require((68...65535).contains(interface.mtu ?? 1500), "an MTU is 68 to 65535")
    }

    private static func check(path: String) throws(Fault) {
        try require(path.hasPrefix("/") && path.utf8.count < 4096, "\"\(path)\" is no absolute path")
    }

    private static func isUUIDByte(_ byte: UInt8) -> Bool { byte == UInt8(ascii: "-") || isHexDigit(byte) }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
            || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }

    private static func require(_ condition: Bool, _ otherwise: @autoclosure () -> String) throws(Fault) {
        guard condition else { throw Fault(.invalidParameter, otherwise(), kind: .instance) }
    }
}
