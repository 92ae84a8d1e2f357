import CLinux
import Foundation
import Model
import Testing

@testable import Disks

/// What a converter that a tenant's bytes took over could reach.
@Suite struct ConfinedChildTests {
    let folder: TestFolder

    init() throws {
        folder = try TestFolder()
        try HostFolder.make(folder.file("jail"), mode: 0o700)
    }

    func child(
        _ shown: [ConfinedChild.Shown] = [], limits: ConfinedChild.Limits = .init(processorSeconds: 20, wall: .seconds(20))
    )
        -> ConfinedChild
    {
        ConfinedChild(user: 20000, root: folder.file("jail"), shown: shown, limits: limits)
    }

    func shell(_ script: String, _ shown: [ConfinedChild.Shown] = []) throws -> ConfinedChild.Outcome {
        try child(shown, limits: .init(processorSeconds: 20, wall: .seconds(20), fileSize: 1 << 20)).run(["/bin/sh", "-c", script])
    }

    @Test(arguments: [
        ("cat /etc/shadow", "No such file"),
        ("ls /proc/1", "No such file"),
        ("ls /work /root /var /tmp /run", "No such file"),
        ("echo x > /new", "Read-only"),
        ("echo x > /usr/new", "Read-only"),
        ("mount -t tmpfs x /usr", "must be superuser"),
        ("unshare -U true", "Operation not permitted"),
        ("su -c id", "denied|failure|only|terminal|authentic|not"),
    ])
    func isDenied(script: String, words: String) throws {
        let outcome = try shell(script)
        #expect(outcome.status != 0)
        #expect(outcome.error.range(of: words, options: .regularExpression) != nil, "\(outcome.error)")
    }

    @Test func isItsOwnUserWithoutCompany() throws {
        #expect(try shell("id -u; id -G; echo $$; ulimit -c; ulimit -n").output == "20000\n20000\n1\n0\n64\n")
    }

    @Test func seesNoNetwork() throws {
        let script = try folder.write(
            Array("use Socket; socket(my $s, AF_INET, SOCK_STREAM, 0) or print \"refused: $!\"".utf8), "script")
        let outcome = try child([.init(path: script, inside: "/script")]).run(["/usr/bin/perl", "/script"])
        #expect(outcome.output == "refused: Operation not permitted", "\(outcome)")
    }

    @Test func inheritsNoDescriptor() throws {
        let secret = try HostFile(try folder.write(Array("secret".utf8), "secret"), O_RDONLY)
        // Not even one that the parent forgot to mark.
        let leaked = fcntl(secret.descriptor, F_DUPFD, 40)
        defer { close(leaked) }
        let outcome = try shell("cat <&\(leaked)")
        #expect(outcome.status != 0)
        #expect(!outcome.output.contains("secret"))
    }

    @Test func seesWhatItIsShown() throws {
        let input = try folder.write(Array("given".utf8), "input")
        let output = try folder.write([], "output")
        #expect(chmod(input, 0o444) == 0 && chown(output, 20000, 20000) == 0)
        let outcome = try shell(
            "cat /input > /output; echo x > /input",
            [.init(path: input, inside: "/input"), .init(path: output, inside: "/output", isWritable: true)])
        #expect(outcome.error.contains("Read-only") || outcome.error.contains("denied"), "\(outcome.error)")
        #expect(try String(contentsOfFile: output, encoding: .utf8) == "given")
    }

    /// The forged names that our header reader refuses, given to the converter all the same.
    @Test func forgedNamesLeadNowhere() throws {
        var header = QCOW2Forgery(version: 2)
        (header.backingOffset, header.backingLength) = (1024, 11)
        var bytes = header.bytes
        bytes.replaceSubrange(1024..<1035, with: Array("/etc/shadow".utf8))
        let input = try folder.write(bytes + [UInt8](repeating: 0, count: 0x30000), "forged.qcow2")
        #expect(chmod(input, 0o444) == 0)
        let outcome = try child([.init(path: input, inside: "/input")]).run([
            "/usr/bin/qemu-img", "convert", "-f", "qcow2", "-O", "raw", "/input", "/dev/stdout",
        ])
        #expect(outcome.status != 0)
        #expect(outcome.error.contains("/etc/shadow"), "qemu-img followed the name: \(outcome.error)")
        #expect(outcome.error.contains("No such file"))
    }

    @Test func limitsHold() throws {
        let output = try folder.write([], "output")
        #expect(chown(output, 20000, 20000) == 0)
        let shown = [ConfinedChild.Shown(path: output, inside: "/output", isWritable: true)]
        let small = ConfinedChild.Limits(processorSeconds: 20, wall: .seconds(20), fileSize: 1 << 20)
        let writer = try child(shown, limits: small).run(["/bin/sh", "-c", "head -c 5000000 /usr/bin/perl > /output"])
        #expect(writer.status != 0)
        #expect(try FileManager.default.attributesOfItem(atPath: output)[.size] as? Int == 1 << 20)

        let busy = try child(limits: .init(processorSeconds: 1, wall: .seconds(30))).run(["/bin/sh", "-c", "while :; do :; done"])
        #expect(busy.status == -9)
        let idle = #expect(throws: Fault.self) {
            try child(limits: .init(processorSeconds: 20, wall: .milliseconds(300))).run(["/usr/bin/sleep", "20"])
        }
        #expect(idle?.code == .timedOut)
        let script = try folder.write(Array("my $x = 'a' x (1 << 30); print length $x".utf8), "script")
        let greedy = try child(
            [.init(path: script, inside: "/script")],
            limits: .init(processorSeconds: 20, wall: .seconds(20), addressSpace: 256 << 20)
        ).run(["/usr/bin/perl", "/script"])
        #expect(greedy.error.contains("Out of memory"), "\(greedy)")
    }

    /// As it would with a controller that is killed.
    @Test func diesWithItsThread() async throws {
        let child = child()
        var ends: [Int32] = [-1, -1]
        try #require(karri_pipe(&ends) == 0)
        let (reading, writing) = (ends[0], ends[1])
        defer { for end in [reading, writing] { close(end) } }
        let pid = await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                let command = ["/bin/sh", "-c", "echo ready; exec sleep 60"]
                let pid = try? child.spawn(command, input: reading, output: writing, error: writing)
                // The thread ends when the program has begun.
                var byte: UInt8 = 0
                if pid != nil { _ = read(reading, &byte, 1) }
                continuation.resume(returning: pid ?? -1)
            }
        }
        try #require(pid > 0)
        var status: Int32 = 0
        for _ in 0..<600 where waitpid(pid, &status, WNOHANG) == 0 { try await Task.sleep(for: .milliseconds(50)) }
        #expect(status == SIGKILL)
    }

    @Test func whatWatchesMayEndIt() throws {
        let fault = #expect(throws: Fault.self) {
            try child().run(["/usr/bin/sleep", "20"], watch: { () throws(Fault) in throw Fault(.noCapacity, "full") })
        }
        #expect(fault?.code == .noCapacity)
    }

    @Test func failureToConfineIsSaid() throws {
        let fault = #expect(throws: Fault.self) { try child([.init(path: "/no/such", inside: "/x")]).run(["/bin/true"]) }
        #expect(fault?.code == .driver)
        #expect(fault?.cause?.contains("/no/such") == true)
    }
}
