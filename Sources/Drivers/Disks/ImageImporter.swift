//  Turns a file from outside into an image's plain content, in a pool's staging folder: copied, so
//  that what was checked is what is converted; converted by qemu-img in a confined child; digested.
//  A raw disk, a kernel and a ramdisk need no converter: copying them is all there is to do.
//
//  Everything here blocks, on the one thread of the import.

import Crypto
import Glibc
import Model
import Platform

/// One import's own thread.
actor ImageImporter {
    private let executor: BlockingExecutor
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init() { executor = BlockingExecutor(name: "karri.import") }

    func run(_ work: ImportWork) -> Result<StagedImage, Fault> {
        do throws(Fault) { return .success(try work.run()) } catch { return .failure(error) }
    }

    func inspect(_ path: String, _ configuration: FilePool.Configuration, root: String) -> Result<ImageHeader, Fault> {
        do throws(Fault) {
            let file = try HostFile(path, O_RDONLY, followsLinks: true)
            return .success(try configuration.headers.header(of: file.descriptor, user: configuration.converterUser, root: root))
        } catch {
            return .failure(error)
        }
    }

    func digest(_ path: String) -> Result<ImageDigest, Fault> {
        do throws(Fault) {
            let file = try HostFile(path, O_RDONLY)
            return .success(try ContentStream.digest(of: file) { (_) throws(Fault) in })
        } catch {
            return .failure(error)
        }
    }
}

/// A checked and converted image that waits for its name.
struct StagedImage: Sendable {
    var path: String
    var copy: ImageCopy
}

/// What one import needs, and how it goes.
struct ImportWork: Sendable {
    var request: ImageImport
    var configuration: FilePool.Configuration
    var layout: PoolLayout
    /// Begins the names of this import in the staging folder.
    var name: String
    let cancellation: Cancellation
    let progress: @Sendable (Double) -> Void

    private var input: String { "\(layout.staging)/\(name)-input" }
    private var output: String { "\(layout.staging)/\(name)-output" }
    private var root: String { "\(layout.staging)/jail" }

    func run() throws(Fault) -> StagedImage {
        do throws(Fault) {
            let staged = try stage()
            unlink(input)
            return staged
        } catch {
            unlink(input)
            unlink(output)
            throw error
        }
    }

    private func stage() throws(Fault) -> StagedImage {
        let source = try HostFile(request.path, O_RDONLY, followsLinks: true)
        let header = try check(source)
        let size = Int64(try source.status().st_size)
        let converts = header.format == .qcow2 || header.format == .vmdk
        try checkSpace(for: try source.status().allocated.bytes * (converts ? 2 : 1))

        let digest: ImageDigest
        if converts {
            try ContentStream.copy(source, to: try HostFile(input, O_RDWR | O_CREAT | O_EXCL), size: size) { (done) throws(Fault) in
                try check(at: 0.2 * done)
            }
            configuration.passing(.imageCopied)
            try convert(header.format)
            configuration.passing(.imageConverted)
            let result = try HostFile(output, O_RDWR)
            digest = try ContentStream.digest(of: result) { (done) throws(Fault) in try check(at: 0.7 + 0.3 * done) }
        } else {
            let result = try HostFile(output, O_RDWR | O_CREAT | O_EXCL)
            digest = try ContentStream.copyAndDigest(source, to: result, size: size) { (done) throws(Fault) in
                try check(at: 0.95 * done)
            }
            configuration.passing(.imageCopied)
            // The source may have changed since it was looked at.
            _ = try check(result)
        }
        if let expected = request.expected, expected != digest {
            throw Fault(.badImage, "the image's content is not what was expected: its digest is \(digest)", kind: .image)
        }
        return try seal(digest)
    }

    private func check(_ file: borrowing HostFile) throws(Fault) -> ImageHeader {
        let header = try configuration.headers.header(of: file.descriptor, user: configuration.converterUser, root: root)
        try header.check(suits: request.kind)
        guard header.virtualSize <= configuration.virtualSizeMax else {
            throw ImageHeader.refusal("its \(header.virtualSize) are more than the \(configuration.virtualSizeMax) allowed here")
        }
        return header
    }

    /// Between two pieces of work: stops if that is wished or space runs out.
    private func check(at fraction: Double) throws(Fault) {
        try cancellation.check()
        try checkSpace(for: ContentStream.pieceSize)
        progress(fraction)
    }

    private func checkSpace(for bytes: some BinaryInteger) throws(Fault) {
        let free = try configuration.space(layout.folder).free - configuration.reserve
        guard free.bytes >= Int64(bytes) else {
            throw Fault(
                .noCapacity,
                "the pool has no space for the image: \(ByteCount(max(0, free.bytes))) free, \(ByteCount(Int64(bytes))) needed",
                kind: .pool)
        }
    }

    /// Runs qemu-img over the copy, with the format that the header reader found and no other file in sight.
    private func convert(_ format: ImageFormat) throws(Fault) {
        let user = configuration.converterUser
        let header: ImageHeader
        do {
            let copy = try HostFile(input, O_RDONLY)
            // Once more, of the bytes that will be converted.
            header = try check(copy)
            guard header.format == format else { throw ImageHeader.refusal("it changed while it was copied") }
            try copy.give(to: user, mode: 0o400)
            let result = try HostFile(output, O_RDWR | O_CREAT | O_EXCL)
            try result.truncate(to: header.virtualSize.bytes)
            try result.give(to: user, mode: 0o600)
        }
        let child = ConfinedChild(
            user: user, root: root,
            shown: [.init(path: input, inside: "/input"), .init(path: output, inside: "/output", isWritable: true)],
            limits: .init(
                processorSeconds: UInt64(configuration.conversionMax.components.seconds), wall: configuration.conversionMax,
                fileSize: UInt64(header.virtualSize.bytes)))
        let source =
            #"json:{"driver":"\#(format.rawValue)","backing":null,"file":{"driver":"file","filename":"/input","locking":"off"}}"#
        let outcome = try child.run(
            [
                "/usr/bin/qemu-img", "convert", "-p", "-n", "--target-is-zero", "--target-image-opts", source,
                "driver=raw,file.driver=file,file.filename=/output,file.locking=off",
            ], onOutput: { piece in report(piece) }, watch: { () throws(Fault) in try watch() })
        guard outcome.status == 0 else {
            throw Fault(
                .badImage, "the image is refused: it could not be converted", kind: .image,
                cause: "qemu-img: status \(outcome.status): \(outcome.error.suffix(1000))")
        }
        let result = try HostFile(output, O_RDWR)
        guard Int64(try result.status().st_size) == header.virtualSize.bytes else {
            throw ImageHeader.refusal("its content is not as long as its header says")
        }
        try result.give(to: 0, mode: 0o600)
    }

    private func watch() throws(Fault) {
        try cancellation.check()
        try checkSpace(for: ContentStream.pieceSize)
    }

    /// qemu-img's `-p` prints `(12.34/100%)` again and again.
    private func report(_ piece: ArraySlice<UInt8>) {
        let text = String(decoding: piece, as: UTF8.self)
        guard let last = text.split(separator: "(").last, let slash = last.firstIndex(of: "/"),
            let percent = Double(last[..<slash]), (0...100).contains(percent)
        else { return }
        progress(0.2 + 0.5 * percent / 100)
    }

    /// Makes the output durable and unchangeable, under its last name but one.
    private func seal(_ digest: ImageDigest) throws(Fault) -> StagedImage {
        let result = try HostFile(output, O_RDWR)
        try result.give(to: 0, mode: 0o444)
        try result.sync()
        let status = try result.status()
        progress(1)
        return StagedImage(
            path: output,
            copy: ImageCopy(
                digest: digest, kind: request.kind, virtualSize: ByteCount(Int64(status.st_size)), actualSize: status.allocated))
    }
}
