//  Brings a file into the cloud as an image. The file is copied into the pool's uploads under
//  another name first and gets the image's id as its name last, so that the pool reads a whole file
//  or none; a command that is ended in between leaves a name that the next one removes.

import Fabric
import Model
import Platform
import Supervisor

#if canImport(Glibc)
    import Glibc
#endif

struct ImageUploads: Sendable {
    struct Upload: Sendable {
        /// Nil on a simulated cloud, whose pools read nothing.
        var file: String?
        var name: String
        var description: String
        var purpose: Image.Purpose
        var isPublic: Bool
        var kernel: String?
        var ramdisk: String?
        /// Twelve digits; nil: the first account.
        var account: String?
    }

    let installation: Installation
    private let client: AdministrationClient

    /// How long the pool may take to read an image.
    static let importPatience = Duration.seconds(1800)
    /// How often a name is varied when an earlier import under it has failed.
    static let attemptsMax = 9

    init(_ installation: Installation) {
        self.installation = installation
        client = AdministrationClient(installation: installation)
    }

    func availableImage(named name: String) async throws(Fault) -> String? {
        guard let known = try await image(named: name), known.state == Image.State.available.rawValue else { return nil }
        return known.id
    }

    private func image(named name: String) async throws(Fault) -> ImageState? {
        do throws(Fault) {
            return try await client.ask { stub, options in
                try await stub.describeImage(DescribeImageRequest.with { $0.name = name }, options: options)
            }
        } catch  where error.code == .notFound { return nil }
    }

    /// Registers the first account's image of this name, unless it is there. An import of that name
    /// that was ended in between is gone on with; after one that failed the name gets a number.
    ///
    /// - Returns: The image's id, once it is available.
    func take(_ upload: Upload) async throws(Fault) -> String {
        var upload = upload
        let name = upload.name
        for attempt in 2...ImageUploads.attemptsMax + 1 {
            guard let known = try await image(named: upload.name) else { return try await add(upload) }
            switch Image.State(rawValue: known.state) {
            case .available: return known.id
            case .pending:
                if let bits = known.id.split(separator: "-").last?.dropFirst() { try await supply(upload, as: String(bits)) }
                return try await wait(for: known.id)
            case .failed, .absent, nil: upload.name = "\(name)-\(attempt)"
            }
        }
        throw Fault(
            .alreadyExists, "\(name) could not be imported \(ImageUploads.attemptsMax) times: karri trace of its images says why")
    }

    /// Registers a new image and waits until it is available.
    ///
    /// - Throws: `.badImage` with the pool's reason.
    func add(_ upload: Upload) async throws(Fault) -> String {
        let incoming = try await copy(upload.file)
        let reply: ImportImageReply
        do throws(Fault) {
            reply = try await client.ask { stub, options in
                try await stub.importImage(
                    ImportImageRequest.with {
                        $0.name = upload.name
                        $0.description_p = upload.description
                        $0.purpose = upload.purpose.rawValue
                        $0.account = upload.account ?? ""
                        $0.public = upload.isPublic
                        $0.kernel = upload.kernel ?? ""
                        $0.ramdisk = upload.ramdisk ?? ""
                    }, options: options)
            }
            if let incoming { try place(incoming, as: reply.upload) }
        } catch {
            if let incoming { unlink(incoming) }
            throw error
        }
        return try await wait(for: reply.id)
    }

    /// Gives a registered image its file, where it has none yet.
    private func supply(_ upload: Upload, as name: String) async throws(Fault) {
        guard upload.file != nil, !exists("\(installation.uploads)/\(name)"), let incoming = try await copy(upload.file) else {
            return
        }
        try place(incoming, as: name)
    }

    /// - Returns: Where the copy lies.
    private func copy(_ file: String?) async throws(Fault) -> String? {
        guard let file else { return nil }
        var facts = stat()
        guard stat(file, &facts) == 0 else { throw Fault(.notFound, "\(file): \(systemError())") }
        guard facts.st_mode & S_IFMT == S_IFREG else { throw Fault(.invalidParameter, "\(file) is not a file") }
        try makeFolder(installation.uploads, mode: 0o700)
        sweep()
        let incoming = "\(installation.uploads)/.incoming-\(getpid())-\(hexDigits(Chance.system.bits()))"
        do throws(Fault) {
            try await Command.run("cp", ["--reflink=auto", "--sparse=always", "--", file, incoming])
            guard chmod(incoming, 0o600) == 0 else { throw Fault(.storage, "could not copy \(file): \(systemError())") }
        } catch {
            unlink(incoming)
            throw error
        }
        return incoming
    }

    private func place(_ incoming: String, as name: String) throws(Fault) {
        let path = "\(installation.uploads)/\(name)"
        guard rename(incoming, path) == 0 else { throw Fault(.storage, "could not put \(path) in place: \(systemError())") }
        try AtomicFile.syncFolder(of: path)
    }

    /// Removes copies of commands that have ended.
    private func sweep() {
        for name in Folder.readableNames(in: installation.uploads) where name.hasPrefix(".incoming-") {
            let pid = name.dropFirst(".incoming-".count).prefix { $0 != "-" }
            if let pid = Int32(pid), ProcessIdentity(pid: pid) == nil { unlink("\(installation.uploads)/\(name)") }
        }
    }

    private func wait(for id: String) async throws(Fault) -> String {
        let end = ContinuousClock.now + ImageUploads.importPatience
        while true {
            let state = try await client.ask { stub, options in
                try await stub.describeImage(DescribeImageRequest.with { $0.id = id }, options: options)
            }
            switch Image.State(rawValue: state.state) {
            case .available: return id
            case .failed, .absent, nil:
                throw Fault(.badImage, "\(state.name) was refused: \(state.fault.isEmpty ? "no reason was given" : state.fault)")
            case .pending: break
            }
            guard ContinuousClock.now < end else {
                throw Fault(.timedOut, "\(state.name) is still being imported: karri image list shows when it is available")
            }
            do { try await Task.sleep(for: .milliseconds(100)) } catch { throw Fault(.cancelled, "the wait was cancelled") }
        }
    }
}
