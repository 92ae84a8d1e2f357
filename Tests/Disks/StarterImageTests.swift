import Foundation
import Model
import Platform
import Testing

@testable import Disks

/// The starter image, built of Debian's packages and booted by a bare QEMU from a pool's chain.
@Suite struct StarterImageTests {
    let folder: TestFolder
    init() throws { folder = try TestFolder() }

    struct Manifest: Decodable {
        struct File: Decodable {
            var role: ImageKind
            var path: String
            var format: ImageFormat
        }
        var name: String
        var architecture: String
        var user: String
        var commandLine: String
        var files: [File]
    }

    static let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Images/starter/build")
        .standardized.path

    /// A metadata service behind QEMU's own network: one program a connection.
    static let metadata = """
        #!/bin/busybox sh
        read method path rest
        while read -r line && [ "$line" != "$(printf '\\r')" ]; do :; done
        case $path in
        /latest/api/token) body=token ;;
        */instance-id) body=i-0123456789abcdef0 ;;
        */openssh-key) body='ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPIwM97MG3o0vXjyzdwdZwyheYa0C054/yhClTRg+pQc test' ;;
        */local-hostname) body=ip-10-0-0-5.internal ;;
        */user-data) body=$(printf '#!/bin/sh\\necho "ran as $(id -un) on $(hostname)" >/dev/console\\nls -l /root/.ssh/authorized_keys >/dev/console\\npoweroff') ;;
        esac
        printf 'HTTP/1.0 200 OK\\r\\nContent-Length: %s\\r\\n\\r\\n%s' "${#body}" "$body"
        """

    @Test(.timeLimit(.minutes(2)))
    func buildsAndBoots() async throws {
        let out = folder.file("starter")
        try await Command.run(Self.script, [out])
        let again = try await Command.attempt(Self.script, [out])
        #expect(again.status == 0 && again.error.contains("is there already"))
        let manifest = try JSONDecoder().decode(Manifest.self, from: Data(contentsOf: URL(filePath: out + "/manifest.json")))
        #expect(manifest.user == "root" && manifest.architecture == "x86_64")

        let pool = try await folder.pool()
        var copies: [ImageKind: ImageCopy] = [:]
        for file in manifest.files {
            #expect(try await pool.inspect("\(out)/\(file.path)").format == file.format)
            copies[file.role] = try await pool.importImage(.init(path: "\(out)/\(file.path)", kind: file.role)) { _ in }
        }
        let disk = DiskSpecification(
            id: .test(1), size: .gibibytes(40), source: .image(try #require(copies[.disk]?.digest)))
        try await pool.create(disk)
        let chain = try await pool.chain(of: disk.id)
        let kernel = try await pool.path(of: try #require(copies[.kernel]?.digest), kind: .kernel)
        let ramdisk = try await pool.path(of: try #require(copies[.ramdisk]?.digest), kind: .ramdisk)
        let service = try folder.write(Array(Self.metadata.utf8), "metadata")
        #expect(chmod(service, 0o755) == 0)

        func boot() async throws -> String {
            try await Command.run(
                "timeout",
                [
                    "60", "qemu-system-x86_64", "-accel", "tcg", "-M", "q35", "-cpu", "max", "-m", "128", "-nodefaults", "-display",
                    "none",
                    "-no-reboot", "-kernel", kernel, "-initrd", ramdisk, "-append", manifest.commandLine,
                    "-blockdev",
                    "driver=qcow2,node-name=root,file.driver=file,file.filename=\(chain[0].path),"
                        + "backing.driver=raw,backing.read-only=on,backing.file.driver=file,backing.file.filename=\(chain[1].path)",
                    "-device", "virtio-blk-pci,drive=root", "-device", "virtio-rng-pci", "-netdev",
                    "user,id=net,restrict=on,net=169.254.0.0/16,dhcpstart=169.254.3.15,guestfwd=tcp:169.254.169.254:80-cmd:\(service)",
                    "-device", "virtio-net-pci,netdev=net,romfile=", "-serial", "stdio",
                ])
        }
        let first = try await boot()
        for words in [
            "-----BEGIN SSH HOST KEY FINGERPRINTS-----", "ssh-ed25519 ", "starter: i-0123456789abcdef0 is up after",
            "ran as root on ip-10-0-0-5", "-rw-------", "reboot: Power down",
        ] { #expect(first.contains(words), "\(words) is missing in:\n\(first)") }

        // Clean, grown to the disk, and no layer but the guest's own was written.
        let check = try await Command.attempt("qemu-img", ["check", "-f", "qcow2", chain[0].path])
        #expect(check.status == 0, "\(check)")
        let raw = folder.file("after.raw")
        try await Command.run("qemu-img", ["convert", "-f", "qcow2", "-O", "raw", chain[0].path, raw])
        let filesystem = try await Command.attempt("e2fsck", ["-f", "-n", raw])
        #expect(filesystem.status == 0, "\(filesystem)")
        let numbers = try await Command.run("dumpe2fs", ["-h", raw])
        #expect(numbers.contains("Block count:              10485760"), "\(numbers)")
        #expect(numbers.contains("Filesystem state:         clean"))
        try await pool.verify(try #require(copies[.disk]))
    }

    @Test func refusesWhatIsNoRegularFile() async throws {
        let out = folder.file("starter")
        try HostFolder.make(out, mode: 0o755)
        #expect(symlink("/dev/null", out + "/disk.raw") == 0)
        let outcome = try await Command.attempt(Self.script, [out])
        #expect(outcome.status == 1 && outcome.error.contains("not a regular file"), "\(outcome)")
        #expect(try HostFolder.status("/dev/null")?.isRegular == false)
    }
}
