//  What a machine should be: the whole input of a start. It is a value that the node writes from
//  its document; how it becomes libvirt's XML stands in DomainXML.swift.

import Model

/// One virtual machine, as the hypervisor is asked to start it.
///
/// Sockets and the serial log are not part of it: they lie in the machine's `GuestFolder`, whose
/// paths follow from the name alone.
public struct Machine: Sendable, Hashable, Codable {
    /// What instructions run on: the host's CPU, or QEMU's translator, about ten times slower.
    public enum Accelerator: String, Sendable, Hashable, Codable, CaseIterable {
        case kvm, tcg
    }

    /// Where the first instruction comes from.
    public enum Boot: Sendable, Hashable, Codable {
        /// The first disk's boot sector, by way of the firmware.
        case disk
        /// A kernel of the host's, which the firmware is given: absolute paths, readable by the
        /// guest's uid. An uncompressed ELF with a PVH note starts a second sooner than a bzImage.
        case kernel(kernel: String, ramdisk: String?, commandLine: String)
    }

    /// The machine's name: an instance's id in AWS's spelling. Also the name of its folder and its
    /// cgroup, therefore letters, digits, `-`, `_` and `.`, at most 63.
    public var name: String
    /// The libvirt and SMBIOS UUID; `Machine.uuid(bits:)` makes one that guests take for EC2's.
    public var uuid: String
    public var virtualCPUs: Int
    public var memory: ByteCount
    public var accelerator: Accelerator
    public var boot: Boot
    public var disks: [Disk]
    public var interfaces: [Interface]
    /// QEMU runs as this user, who is no one else; the machine's files are given to it.
    public var uid: UInt32
    public var gid: UInt32
    public var limits: Limits
    /// What the owner wants to find again in reports (revision, epoch): kept in the domain's XML.
    /// Keys and values are printable text, together at most 4 KiB.
    public var metadata: [String: String]

    public init(
        name: String, uuid: String, virtualCPUs: Int, memory: ByteCount, accelerator: Accelerator, boot: Boot = .disk,
        disks: [Disk] = [], interfaces: [Interface] = [], uid: UInt32, gid: UInt32, limits: Limits = Limits(),
        metadata: [String: String] = [:]
    ) {
        self.name = name
        self.uuid = uuid
        self.virtualCPUs = virtualCPUs
        self.memory = memory
        self.accelerator = accelerator
        self.boot = boot
        self.disks = disks
        self.interfaces = interfaces
        self.uid = uid
        self.gid = gid
        self.limits = limits
        self.metadata = metadata
    }

    /// A version-8 UUID that holds an id's 64 bits and begins with `ec2`, by which cloud-init and
    /// AWS's own agents know that they run in EC2 (EC2 user guide, "Identify EC2 instances").
    public static func uuid(bits: UInt64) -> String {
        let digits = Array(hexDigits(bits))
        return "ec2" + String(digits[0..<5]) + "-" + String(digits[5..<9]) + "-8" + String(digits[9..<12]) + "-8"
            + String(digits[12..<15]) + "-" + String(digits[15..<16]) + "00000000000"
    }
}

extension Machine {
    /// One file of a disk's chain. Its format is stated by whoever wrote it and never probed.
    public struct Layer: Sendable, Hashable, Codable {
        public enum Format: String, Sendable, Hashable, Codable, CaseIterable {
            case raw, qcow2
        }

        /// An absolute path on the host.
        public var path: String
        public var format: Format

        public init(path: String, format: Format) {
            self.path = path
            self.format = format
        }
    }

    /// A virtio block device.
    public struct Disk: Sendable, Hashable, Codable {
        /// How the host caches: `none` is O_DIRECT, which tmpfs refuses.
        public enum Cache: String, Sendable, Hashable, Codable, CaseIterable {
            case none, writeback, writethrough, unsafe
        }

        /// What the guest sees of a failing disk: the error, or a pause until the machine is resumed.
        public enum ErrorPolicy: String, Sendable, Hashable, Codable, CaseIterable {
            case report, stop
        }

        /// The serial that the guest finds in /sys/block/*/serial, at most 20 bytes: device names
        /// move, serials do not.
        public var serial: String
        /// The files from the one that the guest writes down to the base; all of them.
        public var chain: [Layer]
        public var readOnly: Bool
        public var cache: Cache
        /// Whether the guest's discards make holes in the top file.
        public var discard: Bool
        public var onError: ErrorPolicy
        /// The most that the guest reads and writes, per second; QEMU itself holds it.
        public var bytesPerSecondMax: Int64?
        public var operationsPerSecondMax: Int64?

        public init(
            serial: String, chain: [Layer], readOnly: Bool = false, cache: Cache = .none, discard: Bool = true,
            onError: ErrorPolicy = .stop, bytesPerSecondMax: Int64? = nil, operationsPerSecondMax: Int64? = nil
        ) {
            self.serial = serial
            self.chain = chain
            self.readOnly = readOnly
            self.cache = cache
            self.discard = discard
            self.onError = onError
            self.bytesPerSecondMax = bytesPerSecondMax
            self.operationsPerSecondMax = operationsPerSecondMax
        }
    }

    /// A virtio network device on a tap that exists already, in the daemon's network namespace.
    public struct Interface: Sendable, Hashable, Codable {
        /// The tap's name, at most 15 bytes.
        public var tap: String
        /// Six lower-case hex pairs with colons.
        public var mac: String
        /// The MTU that the device tells the guest; nil leaves it to DHCP.
        public var mtu: Int?

        public init(tap: String, mac: String, mtu: Int? = nil) {
            self.tap = tap
            self.mac = mac
            self.mtu = mtu
        }
    }

    /// What QEMU's process may use of the host. Nil is no limit. `HostCapacity.limits` says which
    /// of them this host can hold.
    public struct Limits: Sendable, Hashable, Codable {
        /// The weight against other guests where CPUs are short: 1024 is ordinary.
        public var cpuShares: Int?
        /// The most CPU time, in percent of one CPU.
        public var cpuPercentMax: Int?
        /// The most memory of the whole process. `Limits.ordinary(for:)` knows what QEMU adds.
        public var memoryMax: ByteCount?
        /// The most threads.
        public var threadsMax: Int?
        /// The weight of its disk I/O, 10 to 1000.
        public var blockWeight: Int?

        public init(
            cpuShares: Int? = nil, cpuPercentMax: Int? = nil, memoryMax: ByteCount? = nil, threadsMax: Int? = nil,
            blockWeight: Int? = nil
        ) {
            self.cpuShares = cpuShares
            self.cpuPercentMax = cpuPercentMax
            self.memoryMax = memoryMax
            self.threadsMax = threadsMax
            self.blockWeight = blockWeight
        }

        /// Limits that a well-behaved QEMU of this size never meets: its CPUs and half of one for its
        /// own threads; its memory, the translator's cache and 384 MiB; 64 threads for I/O.
        public static func ordinary(virtualCPUs: Int, memory: ByteCount, accelerator: Accelerator) -> Limits {
            let translator = accelerator == .tcg ? ByteCount.mebibytes(DomainXML.translatorCacheMebibytes) : .zero
            return Limits(
                cpuShares: 1024 * max(1, virtualCPUs), cpuPercentMax: 100 * virtualCPUs + 50,
                memoryMax: memory + translator + .mebibytes(384), threadsMax: virtualCPUs + 128)
        }
    }
}
