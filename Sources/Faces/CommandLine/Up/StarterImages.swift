//  The images that a new cloud has to run: built on the spot by the scripts of Images/, and
//  registered by what their manifests say.

import Model
import Platform

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
#if canImport(Glibc)
    import Glibc
#endif

/// What a built image says of itself (Images/README.md).
struct ImageManifest: Sendable, Hashable, Codable {
    struct File: Sendable, Hashable, Codable {
        enum Role: String, Sendable, Codable { case kernel, ramdisk, disk }
        var role: Role
        var path: String
    }
    var name: String
    var description: String
    var user: String
    var files: [File]

    static func read(_ folder: String) throws(Fault) -> ImageManifest {
        guard let bytes = try AtomicFile.read(folder + "/manifest.json", limit: 1 << 20) else {
            throw Fault(.notFound, "\(folder) holds no image")
        }
        do { return try JSONDecoder().decode(ImageManifest.self, from: Data(bytes)) } catch {
            throw Fault(.storage, "\(folder)/manifest.json cannot be read", because: error)
        }
    }
}

/// Builds and registers the starter images of a cloud.
struct StarterImages: Sendable {
    let installation: Installation
    let configuration: Configuration

    init(_ installation: Installation, _ configuration: Configuration) {
        self.installation = installation
        self.configuration = configuration
    }

    /// - Returns: The small image's id.
    func prepareSmall() async throws(Fault) -> String {
        if configuration.isSimulated { return try await prepareSimulated() }
        if let known = try await ImageUploads(installation).availableImage(named: "starter") { return known }
        return try await register(try await build("starter", "the small starter image"))
    }

    func prepareDebian() async throws(Fault) {
        if try await ImageUploads(installation).availableImage(named: "debian-12") != nil { return }
        Output.line("")
        Output.remark("prepares Debian 12 as well (one to two minutes; you may begin meanwhile, or stop this with Ctrl-C)")
        let id = try await register(try await build("debian", "Debian 12"))
        Output.line("Debian 12 is \(id): log in as debian.")
    }

    /// A simulated pool reads no file, but an upload is one.
    private func prepareSimulated() async throws(Fault) -> String {
        let uploads = ImageUploads(installation)
        if let known = try await uploads.availableImage(named: "starter") { return known }
        return try await uploads.take(
            ImageUploads.Upload(file: nil, name: "starter", description: "A simulated image", purpose: .machine, isPublic: true))
    }

    private func build(_ script: String, _ what: String) async throws(Fault) -> String {
        let folder = "\(installation.starterImages)/\(script)"
        guard let program = try StarterImages.script(script) else {
            if exists(folder + "/manifest.json") { return folder }
            throw Fault(.notFound, "the folder Images of Karri's sources is needed to build \(what): run karri up from there")
        }
        try makeFolder(installation.starterImages, mode: 0o700)
        Output.remark("builds \(what)")
        let status = try await ForegroundProgram.run(program, [folder])
        guard status == 0 else {
            throw Fault(.driver, "\(what) could not be built: see above, then run karri up again")
        }
        return folder
    }

    /// The build script, found beside the program's own build folder.
    private static func script(_ name: String) throws(Fault) -> String? {
        var place = folder(of: try ownProgram())
        while !place.isEmpty {
            let script = "\(place)/Images/\(name)/build"
            if exists(script) { return script }
            place = folder(of: place)
        }
        return nil
    }

    private func register(_ folder: String) async throws(Fault) -> String {
        let manifest = try ImageManifest.read(folder)
        let uploads = ImageUploads(installation)
        var parts: [ImageManifest.File.Role: String] = [:]
        // The kernel and the ramdisk first: the disk names them.
        for role in [ImageManifest.File.Role.kernel, .ramdisk, .disk] {
            guard let file = manifest.files.first(where: { $0.role == role }) else { continue }
            guard !file.path.contains("/") else { throw Fault(.storage, "\(folder)/manifest.json names a file elsewhere") }
            let name = role == .disk ? manifest.name : "\(manifest.name)-\(role.rawValue)"
            Output.remark("imports \(name)")
            var upload = ImageUploads.Upload(
                file: "\(folder)/\(file.path)", name: name, description: manifest.description, purpose: .machine, isPublic: true)
            switch role {
            case .kernel: upload.purpose = .kernel
            case .ramdisk: upload.purpose = .ramdisk
            case .disk: (upload.kernel, upload.ramdisk) = (parts[.kernel], parts[.ramdisk])
            }
            parts[role] = try await uploads.take(upload)
        }
        guard let id = parts[.disk] else { throw Fault(.storage, "\(folder)/manifest.json names no disk") }
        return id
    }
}

/// A program that shares this process's terminal, for its progress to be seen.
enum ForegroundProgram {
    /// - Returns: Its exit code, or -signal.
    static func run(_ program: String, _ arguments: [String]) async throws(Fault) -> Int {
        var words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) }
        words.append(nil)
        defer { for word in words { free(word) } }
        var process: pid_t = 0
        let failure = posix_spawn(&process, program, nil, nil, words, environ)
        guard failure == 0 else { throw Fault(.driver, "\(program) could not be run: \(systemError(failure))") }
        let status = await Waiting().wait(for: process)
        return status & 0x7f == 0 ? Int(status >> 8 & 0xff) : -Int(status & 0x7f)
    }

    private actor Waiting {
        private let executor = BlockingExecutor(name: "karri.foreground")
        nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

        func wait(for process: pid_t) -> Int32 {
            var status: Int32 = 0
            while waitpid(process, &status, 0) < 0, errno == EINTR {}
            return status
        }
    }
}
