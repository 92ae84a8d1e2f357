//  A machine as libvirt's domain XML (https://libvirt.org/formatdomain.html). Pure: the same machine
//  gives the same text. Every file of a disk's chain is named with its format and the chain is ended,
//  so that QEMU never reads a backing file's name from a header that a guest wrote.

import Model

public enum DomainXML {
    /// The namespace of Karri's element in `<metadata>`.
    public static let namespace = "https://karri.cloud/machine/1"

    /// QEMU's default translation cache grows past 1 GiB; with 128 MiB guests are no slower.
    static let translatorCacheMebibytes: Int64 = 128

    /// Root ports that stay free for hot-plug: libvirt adds none to a running q35 machine.
    static let spareRootPorts = 8

    /// The domain's XML.
    ///
    /// - Throws: `Fault.invalidParameter` for a machine that cannot be (names, sizes, paths), before
    ///   anything is made.
    public static func render(
        _ machine: Machine, folder: GuestFolder, emulator: String = "/usr/bin/qemu-system-x86_64"
    ) throws(Fault) -> String {
        try MachineCheck.check(machine)
        var xml = XMLWriter()
        try xml.element("domain", ["type": machine.accelerator == .kvm ? "kvm" : "qemu"]) { xml throws(Fault) in
            try xml.text("name", machine.name)
            try xml.text("uuid", machine.uuid)
            try metadata(machine, &xml)
            try xml.text("memory", ["unit": "b"], String(machine.memory.bytes))
            try xml.text("vcpu", ["placement": "static"], String(machine.virtualCPUs))
            try identity(machine, &xml)
            try boot(machine, &xml)
            try processor(machine, &xml)
            try xml.text("on_poweroff", "destroy")
            try xml.text("on_reboot", "restart")
            try xml.text("on_crash", "destroy")
            try xml.element("devices") { xml throws(Fault) in
                try xml.text("emulator", emulator)
                try buses(machine, &xml)
                for (index, disk) in machine.disks.enumerated() { try Self.disk(disk, index, &xml) }
                for interface in machine.interfaces { try Self.interface(interface, &xml) }
                try consoles(folder, &xml)
            }
            try xml.element("seclabel", ["type": "static", "model": "dac", "relabel": "no"]) { xml throws(Fault) in
                try xml.text("label", "+\(machine.uid):+\(machine.gid)")
            }
        }
        return xml.document
    }

    private static func metadata(_ machine: Machine, _ xml: inout XMLWriter) throws(Fault) {
        try xml.element("metadata") { xml throws(Fault) in
            try xml.element("karri:machine", ["xmlns:karri": namespace]) { xml throws(Fault) in
                for (key, value) in machine.metadata.sorted(by: { $0.key < $1.key }) {
                    try xml.element("karri:entry", ["name": key, "value": value])
                }
            }
        }
    }

    private static func identity(_ machine: Machine, _ xml: inout XMLWriter) throws(Fault) {
        try xml.element("sysinfo", ["type": "smbios"]) { xml throws(Fault) in
            try xml.element("system") { xml throws(Fault) in
                try xml.text("entry", ["name": "manufacturer"], "Karri")
                try xml.text("entry", ["name": "product"], "instance")
                try xml.text("entry", ["name": "serial"], machine.uuid)
                try xml.text("entry", ["name": "uuid"], machine.uuid)
            }
        }
    }

    private static func boot(_ machine: Machine, _ xml: inout XMLWriter) throws(Fault) {
        try xml.element("os") { xml throws(Fault) in
            try xml.text("type", ["arch": "x86_64", "machine": "q35"], "hvm")
            switch machine.boot {
            case .disk:
                try xml.element("boot", ["dev": "hd"])
            case .kernel(let kernel, let ramdisk, let commandLine):
                try xml.text("kernel", kernel)
                if let ramdisk { try xml.text("initrd", ramdisk) }
                try xml.text("cmdline", commandLine)
            }
            try xml.element("smbios", ["mode": "sysinfo"])
        }
    }

    private static func processor(_ machine: Machine, _ xml: inout XMLWriter) throws(Fault) {
        try xml.element("features") { xml throws(Fault) in
            try xml.element("acpi")
            try xml.element("apic")
            if machine.accelerator == .tcg {
                try xml.element("tcg") { xml throws(Fault) in
                    try xml.text("tb-cache", ["unit": "MiB"], String(translatorCacheMebibytes))
                }
            }
        }
        try xml.element("cpu", ["mode": machine.accelerator == .kvm ? "host-passthrough" : "maximum"])
        try xml.element("clock", ["offset": "utc"])
    }

    private static func buses(_ machine: Machine, _ xml: inout XMLWriter) throws(Fault) {
        try xml.element("controller", ["type": "usb", "model": "none"])
        try xml.element("memballoon", ["model": "none"])
        try xml.element("controller", ["type": "pci", "model": "pcie-root"])
        // The random source and the agent's serial bus take a port each, like every disk and interface.
        for _ in 0..<(machine.disks.count + machine.interfaces.count + 2 + spareRootPorts) {
            try xml.element("controller", ["type": "pci", "model": "pcie-root-port"])
        }
        try xml.element("rng", ["model": "virtio"]) { xml throws(Fault) in
            try xml.text("backend", ["model": "random"], "/dev/urandom")
        }
    }

    private static func disk(_ disk: Machine.Disk, _ index: Int, _ xml: inout XMLWriter) throws(Fault) {
        try xml.element("disk", ["type": "file", "device": "disk"]) { xml throws(Fault) in
            guard let top = disk.chain.first else { throw Fault(.invalidParameter, "disk \(disk.serial) has no file") }
            var driver = ["name": "qemu", "type": top.format.rawValue, "cache": disk.cache.rawValue]
            if disk.cache == .none { driver["io"] = "native" }
            driver["discard"] = disk.discard ? "unmap" : "ignore"
            driver["error_policy"] = disk.onError.rawValue
            driver["rerror_policy"] = disk.onError.rawValue
            try xml.element("driver", driver)
            try xml.element("source", ["file": top.path])
            try backing(disk.chain.dropFirst(), &xml)
            try xml.element("target", ["dev": deviceName(index), "bus": "virtio"])
            if disk.bytesPerSecondMax != nil || disk.operationsPerSecondMax != nil {
                try xml.element("iotune") { xml throws(Fault) in
                    if let bytes = disk.bytesPerSecondMax { try xml.text("total_bytes_sec", String(bytes)) }
                    if let operations = disk.operationsPerSecondMax { try xml.text("total_iops_sec", String(operations)) }
                }
            }
            if disk.readOnly { try xml.element("readonly") }
            try xml.text("serial", disk.serial)
        }
    }

    /// The rest of a chain; the empty element at its end is what keeps libvirt and QEMU from looking
    /// for more.
    private static func backing(_ layers: ArraySlice<Machine.Layer>, _ xml: inout XMLWriter) throws(Fault) {
        guard let layer = layers.first else { return try xml.element("backingStore") }
        try xml.element("backingStore", ["type": "file"]) { xml throws(Fault) in
            try xml.element("format", ["type": layer.format.rawValue])
            try xml.element("source", ["file": layer.path])
            try backing(layers.dropFirst(), &xml)
        }
    }

    private static func interface(_ interface: Machine.Interface, _ xml: inout XMLWriter) throws(Fault) {
        try xml.element("interface", ["type": "ethernet"]) { xml throws(Fault) in
            try xml.element("mac", ["address": interface.mac])
            try xml.element("target", ["dev": interface.tap, "managed": "no"])
            try xml.element("model", ["type": "virtio"])
            if let mtu = interface.mtu { try xml.element("mtu", ["size": String(mtu)]) }
            try xml.element("rom", ["enabled": "no"])
        }
    }

    private static func consoles(_ folder: GuestFolder, _ xml: inout XMLWriter) throws(Fault) {
        try xml.element("serial", ["type": "unix"]) { xml throws(Fault) in
            try xml.element("source", ["mode": "bind", "path": folder.sockets.console])
            try xml.element("log", ["file": folder.serialLog, "append": "on"])
            try xml.element("target", ["port": "0"])
        }
        try xml.element("channel", ["type": "unix"]) { xml throws(Fault) in
            try xml.element("source", ["mode": "bind", "path": folder.sockets.agent])
            try xml.element("target", ["type": "virtio", "name": "org.qemu.guest_agent.0"])
        }
        try xml.element("graphics", ["type": "vnc"]) { xml throws(Fault) in
            try xml.element("listen", ["type": "socket", "socket": folder.sockets.display])
        }
        try xml.element("video") { xml throws(Fault) in
            try xml.element("model", ["type": "vga", "vram": "16384"])
        }
    }

    /// vda … vdz, vdaa …: bijective base 26, as Linux counts.
    static func deviceName(_ index: Int) -> String {
        var letters: [UInt8] = []
        var rest = index
        repeat {
            letters.append(UInt8(ascii: "a") + UInt8(rest % 26))
            rest = rest / 26 - 1
        } while rest >= 0
        return "vd" + String(decoding: letters.reversed(), as: UTF8.self)
    }
}
