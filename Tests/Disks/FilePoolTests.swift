import Foundation
import Model
import Platform
import Synchronization
import Testing

@testable import Disks

@Suite struct ImportTests {
    let folder: TestFolder
    init() throws { folder = try TestFolder() }

    func refusal(_ path: String, kind: ImageKind = .disk, _ pool: FilePool) async -> Fault? {
        await #expect(throws: Fault.self) { try await pool.importImage(.init(path: path, kind: kind)) { _ in } }
    }

    func staging(_ pool: String = "pool") throws -> [String] {
        try Folder.names(in: folder.file(pool) + "/staging").filter { $0 != "jail" }
    }

    @Test func sameContentIsOneMaster() async throws {
        let pool = try await folder.pool()
        let raw = try folder.rawImage()
        let qcow2 = folder.file("image.qcow2")
        try await Command.run(
            "qemu-img", ["convert", "-q", "-c", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd", raw, qcow2])
        let vmdk = folder.file("image.vmdk")
        try await Command.run(
            "qemu-img", ["convert", "-q", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", raw, vmdk])

        let fractions = Mutex<[Double]>([])
        let first = try await pool.importImage(.init(path: qcow2, kind: .disk)) { fraction in
            fractions.withLock { $0.append(fraction) }
        }
        #expect(first.digest.hex == (try await sha256sum(raw)))
        #expect(first.virtualSize == .mebibytes(8))
        #expect(first.actualSize < .mebibytes(1), "holes stay holes")
        fractions.withLock { fractions in
            #expect(fractions.last == 1)
            #expect(fractions == fractions.sorted())
            #expect(fractions.contains { $0 > 0.2 && $0 <= 0.7 }, "the converter's own progress")
        }
        #expect(try await pool.importImage(.init(path: raw, kind: .disk)) { _ in } == first)
        #expect(try await pool.importImage(.init(path: vmdk, kind: .disk)) { _ in }.digest == first.digest)
        #expect(try await pool.list().images == [first])
        #expect(try staging().isEmpty)
        try await pool.verify(first)
        let master = try await pool.path(of: first.digest, kind: .disk)
        let status = try #require(try HostFolder.status(master))
        #expect(status.st_uid == 0 && status.st_mode & 0o777 == 0o444)
    }

    @Test func rawIsCopiedSparsely() async throws {
        let pool = try await folder.pool()
        // Written zeros become holes as well.
        let raw = try folder.write([UInt8](repeating: 0, count: 3 << 20) + [1] + [UInt8](repeating: 0, count: 1023), "zeros.raw")
        let copy = try await pool.importImage(.init(path: raw, kind: .disk)) { _ in }
        #expect(copy.digest.hex == (try await sha256sum(raw)))
        #expect(copy.actualSize <= ByteCount(8192))
    }

    @Test func kernelsAndRamdisks() async throws {
        let pool = try await folder.pool()
        let kernel = try folder.write([0x7f, 0x45, 0x4c, 0x46] + [UInt8](repeating: 7, count: 997), "vmlinux")
        let ramdisk = try folder.write(Array("070701".utf8) + [UInt8](repeating: 7, count: 600), "ramdisk")
        let copy = try await pool.importImage(.init(path: kernel, kind: .kernel)) { _ in }
        #expect(copy.virtualSize == ByteCount(1001))
        #expect(try await pool.path(of: copy.digest, kind: .kernel).hasSuffix("/images/\(copy.digest).kernel"))
        _ = try await pool.importImage(.init(path: ramdisk, kind: .ramdisk)) { _ in }
        #expect(await refusal(kernel, kind: .disk, pool)?.message.contains("not a disk image") == true)
        #expect(await refusal(ramdisk, kind: .kernel, pool)?.code == .badImage)
        try await pool.removeImage(copy.digest, kind: .kernel)
        try await pool.removeImage(copy.digest, kind: .kernel)
        #expect(try await pool.list().images.count == 1)
    }

    @Test func imagesThatNameHostFiles() async throws {
        let pool = try await folder.pool()
        let base = try folder.rawImage()
        let overlay = folder.file("overlay.qcow2")
        try await Command.run("qemu-img", ["create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", overlay])
        #expect(await refusal(overlay, pool)?.message.contains("backing") == true)
        let data = folder.file("external.qcow2")
        try await Command.run("qemu-img", ["create", "-q", "-f", "qcow2", "-o", "data_file=\(folder.file("data"))", data, "1M"])
        #expect(await refusal(data, pool)?.message.contains("another file") == true)
        let flat = folder.file("flat.vmdk")
        try await Command.run("qemu-img", ["create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", flat, "1M"])
        #expect(await refusal(flat, pool)?.message.contains("other files") == true)
        let encrypted = try folder.write(
            QCOW2Forgery(encryption: 2).bytes + [UInt8](repeating: 0, count: 0x40000), "encrypted.qcow2")
        #expect(await refusal(encrypted, pool)?.message.contains("encrypted") == true)
        #expect(try staging().isEmpty)
        #expect(try await pool.list().images.isEmpty)
    }

    @Test func bombsAndLies() async throws {
        let pool = try await folder.pool { $0.virtualSizeMax = .gibibytes(64) }
        let bomb = folder.file("bomb.qcow2")
        try await Command.run("qemu-img", ["create", "-q", "-f", "qcow2", bomb, "100T"])
        #expect(await refusal(bomb, pool)?.message.contains("larger than") == true)
        let large = folder.file("large.qcow2")
        try await Command.run("qemu-img", ["create", "-q", "-f", "qcow2", large, "65G"])
        #expect(await refusal(large, pool)?.message.contains("allowed here") == true)
        // A good header, and tables that point to nothing that could be.
        var bytes = QCOW2Forgery().bytes + [UInt8](repeating: 0, count: 0x30000)
        for index in 0x30000..<0x30010 { bytes[index] = 0xff }
        let lie = try folder.write(bytes, "lie.qcow2")
        let fault = await refusal(lie, pool)
        #expect(fault?.code == .badImage)
        #expect(fault?.cause?.contains("qemu-img") == true)
        #expect(try staging().isEmpty)
    }

    @Test func spaceRunsOut() async throws {
        let free = Mutex(ByteCount.gibibytes(100))
        let pool = try await folder.pool { configuration in
            configuration.reserve = .gibibytes(1)
            configuration.space = { (_) throws(Fault) in (.gibibytes(200), free.withLock { $0 }) }
        }
        let raw = try folder.rawImage()
        free.withLock { $0 = .gibibytes(1) }
        let fault = await refusal(raw, pool)
        #expect(fault?.code == .noCapacity)
        let disk = DiskSpecification(id: .test(1), size: .gibibytes(1), source: .empty)
        #expect(await #expect(throws: Fault.self) { try await pool.create(disk) }?.code == .noCapacity)
        #expect(try await pool.capacity().free == .zero)

        // It runs out in the middle.
        free.withLock { $0 = .gibibytes(100) }
        let middle = await #expect(throws: Fault.self) {
            try await pool.importImage(.init(path: raw, kind: .disk)) { _ in free.withLock { $0 = .gibibytes(1) } }
        }
        #expect(middle?.code == .noCapacity)
        #expect(try staging().isEmpty)
    }

    @Test func cancelled() async throws {
        let pool = try await folder.pool()
        let raw = try folder.rawImage(mebibytes: 64)
        let isCancelled = Cancellation()
        let fault = await #expect(throws: Fault.self) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                let (started, start) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
                group.addTask {
                    _ = try await pool.importImage(.init(path: raw, kind: .disk)) { _ in
                        start.yield()
                        for _ in 0..<5000 where !isCancelled.isCancelled { usleep(2000) }
                    }
                }
                for await _ in started.prefix(1) {}
                group.cancelAll()
                isCancelled.cancel()
                try await group.waitForAll()
            }
        }
        #expect(fault?.code == .cancelled)
        #expect(try staging().isEmpty)
    }

    @Test func aTooSlowConverterIsKilled() async throws {
        let pool = try await folder.pool { $0.conversionMax = .zero }
        let qcow2 = folder.file("image.qcow2")
        try await Command.run("qemu-img", ["create", "-q", "-f", "qcow2", qcow2, "1G"])
        #expect(await refusal(qcow2, pool)?.code == .timedOut)
        #expect(try staging().isEmpty)
    }

    @Test func whatWasExpected() async throws {
        let pool = try await folder.pool()
        let raw = try folder.rawImage()
        let other = try #require(ImageDigest(hex: String(repeating: "ab", count: 32)))
        let fault = await #expect(throws: Fault.self) {
            try await pool.importImage(.init(path: raw, kind: .disk, expected: other)) { _ in }
        }
        #expect(fault?.code == .badImage)
        let copy = try await pool.importImage(.init(path: raw, kind: .disk)) { _ in }
        // The file need not even be there any more.
        #expect(try await pool.importImage(.init(path: "/no/such", kind: .disk, expected: copy.digest)) { _ in } == copy)
        #expect(await refusal("/no/such", pool)?.code == .notFound)
        #expect(await refusal("/dev/zero", pool)?.code == .storage)
        #expect(await refusal(folder.path, pool)?.code == .storage)
    }

    @Test func aChangedMasterIsFound() async throws {
        let pool = try await folder.pool()
        let copy = try await pool.importImage(.init(path: try folder.rawImage(), kind: .disk)) { _ in }
        let master = try await pool.path(of: copy.digest, kind: .disk)
        try await pool.verify(copy)
        let file = try HostFile(master, O_WRONLY)
        try file.write([1], at: 100)
        #expect(await #expect(throws: Fault.self) { try await pool.verify(copy) }?.code == .storage)
    }

    /// The header is read by a child that sees only the open file.
    @Test func headersReadByAChild() async throws {
        let script =
            #"dd bs=4 count=1 status=none | grep -q QFI && echo '{"refusal":"no qcow2 today"}' || echo '{"header":{"format":"raw","virtualSize":8388608}}'"#
        let pool = try await folder.pool {
            $0.headers = .child(program: "/usr/bin/dash", arguments: ["-c", script], libraries: [])
        }
        #expect(try await pool.inspect(try folder.rawImage()).virtualSize == .mebibytes(8))
        let qcow2 = try folder.write(QCOW2Forgery().bytes, "x.qcow2")
        #expect(await refusal(qcow2, pool)?.message == "no qcow2 today")
        let broken = try await folder.pool("broken") {
            $0.headers = .child(program: "/usr/bin/false", arguments: [], libraries: [])
        }
        #expect(await refusal(qcow2, broken)?.code == .badImage)
    }
}

@Suite struct DiskTests {
    let folder: TestFolder
    init() throws { folder = try TestFolder() }

    func imported(_ pool: FilePool) async throws -> ImageCopy {
        try await pool.importImage(.init(path: try folder.rawImage(), kind: .disk)) { _ in }
    }

    /// What qemu-img makes of a chain, opened as a hypervisor would: each layer named.
    func options(_ chain: [DiskLayer]) throws -> String {
        var node: [String: Any] = [:]
        for layer in chain.reversed() {
            let file = ["driver": "file", "filename": layer.path]
            let backing = node
            node = ["driver": layer.format.rawValue, "file": file]
            if !backing.isEmpty { node["backing"] = backing }
        }
        return "json:" + String(decoding: try JSONSerialization.data(withJSONObject: node), as: UTF8.self)
    }

    @Test func layersAreWhatQEMUExpects() async throws {
        let pool = try await folder.pool()
        let image = try await imported(pool)
        for (bits, size) in [
            (1, ByteCount.mebibytes(8)), (2, .gibibytes(8)), (3, .gibibytes(16 << 10)), (4, ByteCount((8 << 20) + 512)),
        ] {
            let disk = DiskSpecification(id: .test(UInt64(bits)), size: size, source: .image(image.digest))
            try await pool.create(disk)
            let chain = try await pool.chain(of: disk.id)
            #expect(chain.map(\.format) == [.qcow2, .raw])
            let check = try await Command.attempt("qemu-img", ["check", "-f", "qcow2", chain[0].path])
            #expect(check.status == 0 && check.output.contains("No errors"), "\(check)")
            let info =
                try JSONSerialization.jsonObject(
                    with: Data(try await Command.run("qemu-img", ["info", "--output=json", chain[0].path]).utf8)) as? [String: Any]
            #expect(info?["virtual-size"] as? Int64 == size.bytes)
            #expect(info?["backing-filename"] as? String == chain[1].path)
            #expect(info?["backing-filename-format"] as? String == "raw")
        }
        // Written and read through qemu: the layer changes, the master does not.
        let chain = try await pool.chain(of: .test(2))
        let top = try options(chain)
        try await Command.run("qemu-io", ["-c", "write -P 0x5a 1M 64k", "-c", "write -P 0x77 7G 64k", top])
        let read = try await Command.run(
            "qemu-io", ["-r", "-c", "read -P 0x5a 1M 64k", "-c", "read -P 0x77 7G 64k", "-c", "read -P 0 6G 4k", top])
        #expect(!read.contains("verification failed"))
        try await pool.verify(image)
        #expect(try await Command.attempt("qemu-img", ["check", "-f", "qcow2", chain[0].path]).status == 0)
        #expect(try await pool.list().disks[1].actualSize > ByteCount(128 << 10))
    }

    @Test func growing() async throws {
        let pool = try await folder.pool()
        let image = try await imported(pool)
        let root = DiskSpecification(id: .test(1), size: .mebibytes(16), source: .image(image.digest))
        let empty = DiskSpecification(id: .test(2), size: .mebibytes(16), source: .empty)
        for disk in [root, empty] {
            try await pool.create(disk)
            let chain = try await pool.chain(of: disk.id)
            try await Command.run("qemu-io", ["-c", "write -P 9 15M 64k", try options(chain)])
            try await pool.grow(disk.id, to: .gibibytes(3), writer: .none)
            try await pool.grow(disk.id, to: .gibibytes(2), writer: .none)
            let read = try await Command.run(
                "qemu-io", ["-r", "-c", "length", "-c", "read -P 9 15M 64k", "-c", "read -P 0 2G 4k", try options(chain)])
            #expect(read.contains("3 GiB") && !read.contains("failed"), "\(read)")
            try await pool.grow(disk.id, to: .gibibytes(4), writer: .running)
        }
        #expect(try await pool.list().disks.map(\.specification.size) == [.gibibytes(4), .gibibytes(4)])
        #expect(
            try await Command.attempt("qemu-img", ["check", "-f", "qcow2", try await pool.chain(of: root.id)[0].path]).status == 0)
        await #expect(throws: Fault.self) { try await pool.grow(.test(9), to: .gibibytes(3), writer: .none) }
        await #expect(throws: Fault.self) { try await pool.grow(root.id, to: .gibibytes(17 << 10), writer: .none) }
    }

    @Test func givingToAGuest() async throws {
        let pool = try await folder.pool()
        let image = try await imported(pool)
        let disk = DiskSpecification(id: .test(1), size: .mebibytes(16), source: .image(image.digest))
        try await pool.create(disk)
        let chain = try await pool.chain(of: disk.id)
        func open(as user: Int) async throws -> Int {
            try await Command.attempt(
                "setpriv",
                ["--reuid=\(user)", "--regid=\(user)", "--clear-groups", "qemu-io", "-c", "write 0 4k", try options(chain)]
            ).status
        }
        #expect(try await open(as: 20001) != 0)
        try await pool.give(disk.id, to: 20001)
        #expect(try await open(as: 20001) == 0)
        #expect(try await open(as: 20002) != 0, "another guest may not")
        #expect(try await pool.list().disks.first?.user == 20001)
        let list = try await Command.attempt("setpriv", ["--reuid=20001", "--clear-groups", "ls", folder.file("pool/disks")])
        #expect(list.status != 0, "a guest cannot see which disks there are")
        await #expect(throws: Fault.self) { try await pool.give(.test(9), to: 20001) }
    }

    @Test func strangersAreLeftAlone() async throws {
        let pool = try await folder.pool()
        _ = try folder.write([1], "pool/disks/00000000000000aa.raw")
        _ = try folder.write([1], "pool/disks/notes.txt")
        _ = try folder.write([1], "pool/images/abc.disk")
        let again = try await folder.pool()
        #expect(try await again.list().unknown == ["disks/00000000000000aa.raw", "disks/notes.txt", "images/abc.disk"])
        let disk = DiskSpecification(id: .test(0xaa), size: .mebibytes(1), source: .empty)
        #expect(await #expect(throws: Fault.self) { try await again.create(disk) }?.code == .wrongState)
        _ = pool
    }

    @Test func aLostDiskIsNotMadeAnew() async throws {
        let pool = try await folder.pool()
        let disk = DiskSpecification(id: .test(1), size: .mebibytes(1), source: .empty)
        try await pool.create(disk)
        try FileManager.default.removeItem(atPath: try await pool.chain(of: disk.id)[0].path)
        #expect(await #expect(throws: Fault.self) { try await pool.create(disk) }?.code == .wrongState)
        let again = try await folder.pool()
        #expect(try await again.list().disks.first?.isLost == true)
        try await again.remove(disk.id)
        #expect(try await again.list().disks.isEmpty)
    }

    /// The pool's folder as a kill at each step would leave it, opened anew.
    @Test func crashAtEveryStep() async throws {
        let image = try await folder.pool("source").importImage(.init(path: try folder.rawImage(), kind: .disk)) { _ in }
        let crashes = Mutex<[PoolStep: String]>([:])
        let work = folder
        let pool = try await folder.pool { configuration in
            configuration.passing = { step in
                let copy = work.file("crash-\(step.rawValue)")
                try? FileManager.default.removeItem(atPath: copy)
                try? FileManager.default.copyItem(atPath: work.file("pool"), toPath: copy)
                crashes.withLock { $0[step] = copy }
            }
        }
        let qcow2 = folder.file("image.qcow2")
        try await Command.run("qemu-img", ["convert", "-q", "-f", "raw", "-O", "qcow2", folder.file("image.raw"), qcow2])
        _ = try await pool.importImage(.init(path: qcow2, kind: .disk)) { _ in }
        let disk = DiskSpecification(id: .test(1), size: .mebibytes(16), source: .image(image.digest))
        try await pool.create(disk)
        try await pool.grow(disk.id, to: .mebibytes(32), writer: .none)
        try await pool.remove(disk.id)
        #expect(Set(crashes.withLock { $0.keys }) == Set(PoolStep.allCases))

        for step in PoolStep.allCases {
            let again = try await folder.pool("crash-\(step.rawValue)")
            let contents = try await again.list()
            #expect(contents.unknown.isEmpty, "\(step)")
            #expect(contents.disks.filter(\.isLost).isEmpty, "\(step)")
            #expect(try Folder.names(in: folder.file("crash-\(step.rawValue)/staging")) == ["jail"], "\(step)")
            switch step {
            case .imageCopied, .imageConverted, .imageStaged: #expect(contents.images.isEmpty, "\(step)")
            default: #expect(contents.images.map(\.digest) == [image.digest], "\(step)")
            }
            let isThere = [PoolStep.diskRecorded, .diskPlaced, .diskGrown].contains(step)
            #expect(contents.disks.map(\.specification) == (isThere ? [disk] : []), "\(step)")
            // The call that was cut off, repeated, ends as if nothing had been.
            switch step {
            case .imageCopied, .imageConverted, .imageStaged, .imagePlaced:
                #expect(try await again.importImage(.init(path: qcow2, kind: .disk)) { _ in }.digest == image.digest, "\(step)")
            case .diskMade, .diskRecorded, .diskPlaced:
                try await again.create(disk)
                #expect(try await again.list().disks.map(\.specification) == [disk], "\(step)")
            case .diskGrown:
                try await again.grow(disk.id, to: .mebibytes(32), writer: .none)
                #expect(try await again.list().disks.first?.specification.size == .mebibytes(32))
            case .removalBegun, .recordRemoved:
                try await again.remove(disk.id)
                #expect(try Folder.names(in: folder.file("crash-\(step.rawValue)/disks")).isEmpty, "\(step)")
            }
        }
    }
}
