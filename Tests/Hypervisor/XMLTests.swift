import Model
import Platform
import Testing

@testable import Hypervisor

private let installation = Installation(root: "/r", mark: "t")

private func machine(_ change: (inout Machine) -> Void = { _ in }) -> Machine {
    var machine = Machine(
        name: "i-0123", uuid: Machine.uuid(bits: 0x0123_4567_89ab_cdef), virtualCPUs: 2, memory: .mebibytes(512), accelerator: .tcg,
        disks: [.init(serial: "vol-1", chain: [.init(path: "/p/top", format: .qcow2), .init(path: "/p/base", format: .raw)])],
        interfaces: [.init(tap: "tap1", mac: "52:54:00:00:02:01")], uid: 20001, gid: 20002)
    change(&machine)
    return machine
}

private func render(_ machine: Machine) throws -> String {
    try DomainXML.render(machine, folder: GuestFolder(installation: installation, name: machine.name))
}

@Suite struct XMLTests {
    /// The whole document once, so that no line changes unseen.
    @Test func document() throws {
        #expect(try render(machine { $0.metadata = ["epoch": "3"] }) == expectedDocument)
    }

    @Test(arguments: [
        (
            "KVM has the host's CPU and no translator", machine { $0.accelerator = .kvm },
            ["<domain type='kvm'>", "host-passthrough"], ["tb-cache"]
        ),
        (
            "a kernel instead of the boot sector",
            machine { $0.boot = .kernel(kernel: "/k", ramdisk: "/i", commandLine: "a=\"<1>\" b") },
            ["<kernel>/k</kernel>", "<initrd>/i</initrd>", "<cmdline>a=&quot;&lt;1&gt;&quot; b</cmdline>"], ["<boot dev"]
        ),
        (
            "a kernel without ramdisk", machine { $0.boot = .kernel(kernel: "/k", ramdisk: nil, commandLine: "") },
            ["<kernel>/k</kernel>"], ["<initrd>"]
        ),
        ("read only", machine { $0.disks[0].readOnly = true }, ["<readonly/>"], []),
        ("no O_DIRECT, so no native I/O", machine { $0.disks[0].cache = .writeback }, ["cache='writeback'"], ["io='native'"]),
        ("errors for the guest to see", machine { $0.disks[0].onError = .report }, ["error_policy='report'"], ["'stop'"]),
        (
            "rates",
            machine {
                $0.disks[0].bytesPerSecondMax = 7
                $0.disks[0].operationsPerSecondMax = 8
            },
            ["<total_bytes_sec>7</total_bytes_sec>", "<total_iops_sec>8</total_iops_sec>"], []
        ),
        ("an MTU", machine { $0.interfaces[0].mtu = 1450 }, ["<mtu size='1450'/>"], []),
        (
            "a path with XML in it", machine { $0.disks[0].chain[1].path = "/p/'/><x>&" }, ["file='/p/&apos;/&gt;&lt;x&gt;&amp;'"],
            ["<x>"]
        ),
    ])
    func parts(_ remark: String, _ machine: Machine, _ holds: [String], _ lacks: [String]) throws {
        let text = try render(machine)
        for part in holds { #expect(text.contains(part), "\(remark): \(text)") }
        for part in lacks { #expect(!text.contains(part), "\(remark): \(text)") }
    }

    /// However long a chain is, each file stands with its format and the last is marked as the last:
    /// otherwise QEMU would look into the file for a name.
    @Test(arguments: 1...4) func chainsAreWholeAndEnded(_ length: Int) throws {
        let chain = (0..<length).map { Machine.Layer(path: "/p/\($0)", format: $0 == length - 1 ? .raw : .qcow2) }
        let text = try render(machine { $0.disks[0].chain = chain })
        for layer in chain { #expect(text.ranges(of: "file='\(layer.path)'").count == 1) }
        #expect(text.ranges(of: "<backingStore/>").count == 1)
        #expect(text.ranges(of: "<backingStore type='file'>").count == length - 1)
        #expect(text.ranges(of: "<format type=").count == length - 1)
    }

    @Test(arguments: [
        ("a name that climbs", machine { $0.name = "../x" }), ("a name with a slash", machine { $0.name = "a/b" }),
        ("a hidden name", machine { $0.name = ".a" }), ("no name", machine { $0.name = "" }),
        ("a long name", machine { $0.name = String(repeating: "a", count: 64) }), ("root", machine { $0.uid = 0 }),
        ("root's group", machine { $0.gid = 0 }), ("no CPU", machine { $0.virtualCPUs = 0 }),
        ("memory below zero", machine { $0.memory = ByteCount(-1) }),
        ("odd memory", machine { $0.memory = ByteCount((64 << 20) + 1) }),
        ("nothing to boot", machine { $0.disks = [] }), ("a disk without a file", machine { $0.disks[0].chain = [] }),
        ("a relative path", machine { $0.disks[0].chain[0].path = "p/top" }),
        ("raw on top of something", machine { $0.disks[0].chain[0].format = .raw }),
        ("a chain in a circle", machine { $0.disks[0].chain[1].path = "/p/top" }),
        ("a long serial", machine { $0.disks[0].serial = "vol-01234567890123456" }),
        ("one serial twice", machine { $0.disks += $0.disks }), ("a rate of none", machine { $0.disks[0].bytesPerSecondMax = 0 }),
        ("a long tap", machine { $0.interfaces[0].tap = "tap0123456789abc" }),
        ("a MAC of five", machine { $0.interfaces[0].mac = "52:54:00:00:02" }),
        ("a MAC with a sign", machine { $0.interfaces[0].mac = "52:54:00:00:02:+1" }),
        ("an MTU of none", machine { $0.interfaces[0].mtu = 0 }),
        ("a zero byte", machine { $0.disks[0].chain[0].path = "/p/\u{0}" }), ("a bell", machine { $0.metadata = ["a": "\u{7}"] }),
        ("much metadata", machine { $0.metadata = ["a": String(repeating: "x", count: 4096)] }),
        ("an upper-case UUID", machine { $0.uuid = $0.uuid.uppercased() }),
    ])
    func refused(_ remark: String, _ machine: Machine) {
        let fault = #expect(throws: Fault.self, "\(remark)") { try render(machine) }
        #expect(fault?.code == .invalidParameter)
    }

    @Test(arguments: [(0, "vda"), (25, "vdz"), (26, "vdaa"), (27, "vdab"), (701, "vdzz"), (702, "vdaaa")])
    func deviceNames(_ index: Int, _ name: String) {
        #expect(DomainXML.deviceName(index) == name)
    }

    @Test func uuidsHoldTheIdAndBeginAsEC2s() {
        #expect(Machine.uuid(bits: 0x0123_4567_89ab_cdef) == "ec201234-5678-89ab-8cde-f00000000000")
        #expect(Machine.uuid(bits: 1) != Machine.uuid(bits: 16))
    }
}

@Suite struct MetadataTests {
    @Test(arguments: [
        [:], ["a": ""], ["epoch": "7", "generation": "9"], ["odd": "<&>'\"\t\n\r é 漢 🙂"], ["a=b": "c/>", "</x>": "&amp;"],
    ])
    func survives(_ metadata: [String: String]) throws {
        let text = try render(machine { $0.metadata = metadata })
        let start = try #require(text.ranges(of: "<karri:machine").first?.lowerBound)
        let end = try #require(text.ranges(of: "</karri:machine>").first?.upperBound)
        #expect(DomainXML.metadata(inElement: String(text[start..<end])) == metadata)
    }

    @Test(
        arguments: [
            (
                "as libxml2 writes it", #"<karri:machine xmlns:karri="x"><karri:entry name="a" value="&#10;'"/></karri:machine>"#,
                ["a": "\n'"]
            ),
            ("without entries", #"<karri:machine xmlns:karri="x"/>"#, [:]),
            ("spaces about the sign", "<m:machine><m:entry name = 'a'\n value\t= 'b' /></m:machine>", ["a": "b"]),
            ("hexadecimal", "<machine><entry name='a' value='&#x41;'/></machine>", ["a": "A"]),
            ("nothing", "", nil), ("another element", "<other/>", nil),
            ("an entry without value", "<machine><entry name='a'/></machine>", nil),
        ] as [(String, String, [String: String]?)])
    func read(_ remark: String, _ text: String, _ metadata: [String: String]?) {
        #expect(DomainXML.metadata(inElement: text) == metadata, "\(remark)")
    }

    /// What libvirt gives back is another program's output: no text may trap or hang the reader.
    @Test func mutationsNeitherTrapNorHang() throws {
        let seed: UInt64 = 0x5eed
        var dice = Dice(seed: seed)
        let text = try render(machine { $0.metadata = ["a": "<&>", "b": "'\"\n", "c": "plain", "d": ""] })
        let valid = Array(try #require(text.ranges(of: "<karri:machine").first.map { text[$0.lowerBound...].prefix(400) }).utf8)
        var known = 0
        for _ in 0..<4000 {
            var bytes = valid
            for _ in 0..<Int.random(in: 1...8, using: &dice) {
                let place = Int.random(in: 0..<bytes.count, using: &dice)
                switch Int.random(in: 0..<4, using: &dice) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &dice)
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(Array("<>&;'\"/=#x".utf8).randomElement(using: &dice) ?? 0, at: place)
                default: bytes.removeSubrange(place..<min(bytes.count, place + 20))
                }
            }
            var count = 0
            for _ in XMLTags(String(decoding: bytes, as: UTF8.self)) { count += 1 }
            known = max(known, count)
            #expect(count <= bytes.count, "seed \(seed)")
        }
        #expect(known > 5, "no mutation left anything to read: the test tests nothing")
    }
}

private let expectedDocument = """
    <domain type='qemu'>
      <name>i-0123</name>
      <uuid>ec201234-5678-89ab-8cde-f00000000000</uuid>
      <metadata>
        <karri:machine xmlns:karri='https://karri.cloud/machine/1'>
          <karri:entry name='epoch' value='3'/>
        </karri:machine>
      </metadata>
      <memory unit='b'>536870912</memory>
      <vcpu placement='static'>2</vcpu>
      <sysinfo type='smbios'>
        <system>
          <entry name='manufacturer'>Karri</entry>
          <entry name='product'>instance</entry>
          <entry name='serial'>ec201234-5678-89ab-8cde-f00000000000</entry>
          <entry name='uuid'>ec201234-5678-89ab-8cde-f00000000000</entry>
        </system>
      </sysinfo>
      <os>
        <type arch='x86_64' machine='q35'>hvm</type>
        <boot dev='hd'/>
        <smbios mode='sysinfo'/>
      </os>
      <features>
        <acpi/>
        <apic/>
        <tcg>
          <tb-cache unit='MiB'>128</tb-cache>
        </tcg>
      </features>
      <cpu mode='maximum'/>
      <clock offset='utc'/>
      <on_poweroff>destroy</on_poweroff>
      <on_reboot>restart</on_reboot>
      <on_crash>destroy</on_crash>
      <devices>
        <emulator>/usr/bin/qemu-system-x86_64</emulator>
        <controller model='none' type='usb'/>
        <memballoon model='none'/>
        <controller model='pcie-root' type='pci'/>
        <controller model='pcie-root-port' type='pci'/>
        <controller model='pcie-root-port' type='pci'/>
        <controller model='pcie-root-port' type='pci'/>
        <controller model='pcie-root-port' type='pci'/>
        <controller model='pcie-root-port' type='pci'/>
        <controller model='pcie-root-port' type='pci'/>
        <controller model='pcie-root-port' type='pci'/>
        <controller model='pcie-root-port' type='pci'/>
        <controller model='pcie-root-port' type='pci'/>
        <controller model='pcie-root-port' type='pci'/>
        <controller model='pcie-root-port' type='pci'/>
        <controller model='pcie-root-port' type='pci'/>
        <rng model='virtio'>
          <backend model='random'>/dev/urandom</backend>
        </rng>
        <disk device='disk' type='file'>
          <driver cache='none' discard='unmap' error_policy='stop' io='native' name='qemu' rerror_policy='stop' type='qcow2'/>
          <source file='/p/top'/>
          <backingStore type='file'>
            <format type='raw'/>
            <source file='/p/base'/>
            <backingStore/>
          </backingStore>
          <target bus='virtio' dev='vda'/>
          <serial>vol-1</serial>
        </disk>
        <interface type='ethernet'>
          <mac address='52:54:00:00:02:01'/>
          <target dev='tap1' managed='no'/>
          <model type='virtio'/>
          <rom enabled='no'/>
        </interface>
        <serial type='unix'>
          <source mode='bind' path='/r/var/lib/karri/node/guests/i-0123/run/console.sock'/>
          <log append='on' file='/r/var/lib/karri/node/guests/i-0123/serial.log'/>
          <target port='0'/>
        </serial>
        <channel type='unix'>
          <source mode='bind' path='/r/var/lib/karri/node/guests/i-0123/run/agent.sock'/>
          <target name='org.qemu.guest_agent.0' type='virtio'/>
        </channel>
        <graphics type='vnc'>
          <listen socket='/r/var/lib/karri/node/guests/i-0123/run/vnc.sock' type='socket'/>
        </graphics>
        <video>
          <model type='vga' vram='16384'/>
        </video>
      </devices>
      <seclabel model='dac' relabel='no' type='static'>
        <label>+20001:+20002</label>
      </seclabel>
    </domain>

    """
