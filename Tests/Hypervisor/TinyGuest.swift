//  A guest that boots in three seconds under TCG: the distribution's kernel, uncompressed, and an
//  initramfs of busybox that does what its command line says and tells about it on the serial port.

import FoundationEssentials
import Hypervisor
import Model
import Platform

struct TinyGuest {
    let kernel: String
    let ramdisk: String

    /// Makes both files in a folder.
    init(in folder: String) async throws {
        kernel = folder + "/vmlinux"
        ramdisk = folder + "/ramdisk.cpio"
        let boot = try FileManager.default.contentsOfDirectory(atPath: "/boot").filter { $0.hasPrefix("vmlinuz-") }
        guard let name = boot.first(where: { $0.contains("cloud") }) else {
            throw Fault(.notFound, "there is no cloud kernel in /boot")
        }
        try await Self.unpack("/boot/" + name, to: kernel)
        try await Self.ramdisk(release: String(name.dropFirst("vmlinuz-".count))).write(to: URL(filePath: ramdisk))
    }

    /// The kernel within a bzImage (Documentation/arch/x86/boot.rst): an LZ4 stream and four bytes of size.
    private static func unpack(_ image: String, to path: String) async throws {
        let bytes = try Array(Data(contentsOf: URL(filePath: image)))
        func word(_ offset: Int) -> Int { (0..<4).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) } }
        let start = (Int(bytes[0x1f1]) + 1) * 512 + word(0x248)
        let payload = bytes[start..<start + word(0x24c) - 4]
        try Data(payload).write(to: URL(filePath: path + ".lz4"))
        try await Command.run("lz4", ["-dqf", path + ".lz4", path])
        try FileManager.default.removeItem(atPath: path + ".lz4")
    }

    private static let script = """
        #!/bin/busybox sh
        /bin/busybox --install -s /bin
        export PATH=/bin
        mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
        exec </dev/console >/dev/console 2>&1
        for module in /modules/*.ko; do insmod $module; done
        mkdir -p /etc/acpi/PWRF /var/log /var/run; printf '#!/bin/sh\\npoweroff -f\\n' > /etc/acpi/PWRF/00000080
        chmod 755 /etc/acpi/PWRF/00000080
        until [ -e /dev/input/event0 ]; do sleep 0.05; done
        acpid -c /etc/acpi
        for disk in /sys/block/vd*; do
            [ -e $disk/serial ] || continue
            echo "DISK $(cat $disk/serial) $(cat $disk/size) $(cat $disk/ro) $(head -c 8 /dev/${disk##*/})"
        done
        for card in /sys/class/net/eth*; do [ -e $card ] && echo "CARD $(cat $card/address) $(cat $card/mtu)"; done
        echo "CPUS $(grep -c ^processor /proc/cpuinfo) UUID $(cat /sys/class/dmi/id/product_uuid)"
        echo "READY"
        case "$(cat /proc/cmdline)" in
            *poweroff*) poweroff -f ;;
            *fill*) dd if=/dev/zero of=/dev/vdb bs=1M count=4 oflag=direct 2>/dev/null && echo FILLED ;;
            *flood*) while :; do cat /bin/busybox | base64; done ;;
        esac
        count=0
        while :; do count=$((count + 1)); echo "TICK $count"; sleep 0.5; done
        """

    private static let modules = [
        "virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci", "virtio_blk", "failover",
        "net_failover", "virtio_net", "button", "evdev",
    ]

    private static func ramdisk(release: String) async throws -> Data {
        var archive = Archive()
        for folder in ["bin", "proc", "sys", "dev", "etc", "modules"] { archive.add(folder, mode: 0o40755, []) }
        archive.add("bin/busybox", mode: 0o100755, try Array(Data(contentsOf: URL(filePath: "/bin/busybox"))))
        archive.add("init", mode: 0o100755, Array(script.utf8))
        for (order, module) in modules.enumerated() {
            let found = try await Command.run("find", ["/lib/modules/\(release)", "-name", module + ".ko"])
            guard let path = found.split(separator: "\n").first else { continue }
            archive.add("modules/\(10 + order).ko", mode: 0o100644, try Array(Data(contentsOf: URL(filePath: String(path)))))
        }
        return archive.finished()
    }
}

/// A cpio archive in the "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst).
private struct Archive {
    private var bytes: [UInt8] = []
    private var number = 1

    mutating func add(_ name: String, mode: Int, _ content: [UInt8]) {
        let fields = [number, mode, 0, 0, 1, 0, content.count, 0, 0, 0, 0, name.utf8.count + 1, 0]
        bytes += Array("070701".utf8)
        for field in fields {
            let digits = String(field, radix: 16)
            bytes += Array((String(repeating: "0", count: 8 - digits.utf8.count) + digits).utf8)
        }
        bytes += Array(name.utf8) + [0]
        pad()
        bytes += content
        pad()
        number += 1
    }

    mutating func finished() -> Data {
        add("TRAILER!!!", mode: 0, [])
        return Data(bytes)
    }

    private mutating func pad() { while bytes.count % 4 != 0 { bytes.append(0) } }
}
