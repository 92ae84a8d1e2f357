//  The same guest without a cloud: QEMU as libvirt would start it, with QEMU's own user network,
//  which answers DHCP, and a few lines of shell for the metadata service that the guest asks.

import FoundationEssentials
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

/// Starts bare guests, one after the other.
actor BareGuest {
    /// What the guest is made of.
    struct Recipe: Sendable {
        var kernel: String
        var ramdisk: String
        var disk: String
        var processors: Int
        var memoryMebibytes: Int
        var isKVM: Bool
        /// Where its ssh is reached on the loopback address.
        var port: UInt16
        /// For its overlay and its metadata.
        var folder: String
    }

    private let recipe: Recipe
    private let executor = BlockingExecutor(name: "karri.bench.guest")

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(_ recipe: Recipe) { self.recipe = recipe }

    private var overlay: String { recipe.folder + "/overlay.qcow2" }
    private var metadata: String { recipe.folder + "/metadata" }

    /// A fresh copy-on-write layer for the next start.
    nonisolated func prepare() async throws(Fault) {
        try AtomicFile.write(Array(BareGuest.responder.utf8), to: await metadata, mode: 0o755)
        try await Command.run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", recipe.disk, "-F", "raw", await overlay, "1G"])
    }

    /// Starts QEMU and waits for the banner.
    ///
    /// - Returns: Seconds.
    func start(within patience: Duration) throws(Fault) -> Double {
        let began = ContinuousClock.now
        let process = try spawn()
        defer {
            kill(process, SIGKILL)
            var status: Int32 = 0
            while waitpid(process, &status, 0) < 0, errno == EINTR {}
        }
        try SSHBanner.wait(address: "127.0.0.1", port: recipe.port, within: patience)
        return seconds(ContinuousClock.now - began)
    }

    /// Waits for the banner of a guest that another started.
    func wait(address: String, within patience: Duration) throws(Fault) {
        try SSHBanner.wait(address: address, port: 22, within: patience)
    }

    private var arguments: [String] {
        let network =
            "user,id=net0,net=169.254.0.0/16,host=169.254.0.2,dns=169.254.0.3,dhcpstart=169.254.10.15"
            + ",hostfwd=tcp:127.0.0.1:\(recipe.port)-:22,guestfwd=tcp:169.254.169.254:80-cmd:\(metadata)"
        return [
            "-name", "karri-bench", "-nodefaults", "-no-user-config", "-machine", "q35,usb=off,dump-guest-core=off",
            "-accel", recipe.isKVM ? "kvm" : "tcg,tb-size=128", "-cpu", recipe.isKVM ? "host" : "max",
            "-m", "\(recipe.memoryMebibytes)", "-smp", "\(recipe.processors)", "-kernel", recipe.kernel, "-initrd", recipe.ramdisk,
            "-append", "console=ttyS0 quiet cryptomgr.notests no_timer_check",
            "-drive", "file=\(overlay),if=none,id=disk0,format=qcow2,cache=none,aio=native,discard=unmap",
            "-device", "virtio-blk-pci,drive=disk0", "-netdev", network, "-device", "virtio-net-pci,netdev=net0,romfile=",
            "-object", "rng-random,filename=/dev/urandom,id=rng0", "-device", "virtio-rng-pci,rng=rng0",
            "-serial", "file:\(recipe.folder)/serial.log", "-device", "VGA", "-display", "none", "-monitor", "none",
        ]
    }

    private func spawn() throws(Fault) -> pid_t {
        var words: [UnsafeMutablePointer<CChar>?] = (["qemu-system-x86_64"] + arguments).map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var process: pid_t = 0
        let failure = posix_spawnp(&process, "qemu-system-x86_64", nil, nil, words, environ)
        guard failure == 0 else { throw Fault(.driver, "QEMU could not be run: \(systemError(failure))") }
        return process
    }

    /// What the starter image asks for (Images/starter), answered over standard input and output.
    private static let responder = """
        #!/bin/sh
        read -r method path rest
        end=$(printf '\\r')
        while read -r line && [ -n "$line" ] && [ "$line" != "$end" ]; do :; done
        case $path in
        */api/token) body=token ;;
        */instance-id) body=i-0123456789abcdef0 ;;
        */openssh-key) body='ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA bench' ;;
        */local-hostname) body=ip-169-254-10-15.internal ;;
        *)
            printf 'HTTP/1.0 404 Not Found\\r\\nContent-Length: 0\\r\\n\\r\\n'
            exit
            ;;
        esac
        printf 'HTTP/1.0 200 OK\\r\\nContent-Type: text/plain\\r\\nContent-Length: %d\\r\\n\\r\\n%s' ${#body} "$body"

        """
}
