//  The operator's images: files that lie on a host's disk become images of the first account or of
//  a named one.

import Compute
import Fabric
import GRPCCore
import Images
import Model
import Store

extension AdministrationService {
    func importImage(request: ImportImageRequest, context: ServerContext) async throws -> ImportImageReply {
        try await answering { () async throws(Fault) in
            let account = try await owner(request.account)
            guard let purpose = Image.Purpose(rawValue: request.purpose) else {
                throw Fault(.invalidParameter, "an image is a machine, a kernel or a ramdisk, not \(request.purpose)")
            }
            guard (3...128).contains(request.name.count) else {
                throw Fault(.invalidParameter, "an image's name has 3 to 128 characters")
            }
            let kernel = try AdministrationService.image(request.kernel)
            let ramdisk = try AdministrationService.image(request.ramdisk)
            let (host, pool) = try await place()
            let image = try await services.images.register(
                ImagesService.Registration(
                    name: request.name, description: request.description_p, purpose: purpose, isPublic: request.public,
                    kernel: kernel,
                    ramdisk: ramdisk), in: pool, by: call(for: account))
            return ImportImageReply.with {
                $0.id = AdministrationService.shown(image)
                $0.upload = image.id.hex
                $0.host = host
            }
        }
    }

    func describeImage(request: DescribeImageRequest, context: ServerContext) async throws -> ImageState {
        try await answering { () async throws(Fault) in
            let id = try AdministrationService.image(request.id)
            let found: (image: Image, owner: String)? = try await engine.read { tx throws(Fault) in
                let image: Image?
                if let id {
                    image = try tx.find(Image.table, id)
                } else {
                    let account = try tx.account(named: AdministrationService.firstAccount)
                    image = try account.flatMap { account throws(Fault) in try tx.image(named: request.name, of: account.id) }
                }
                return try image.map { image throws(Fault) in
                    (image, try tx.find(Account.table, image.account)?.number ?? "")
                }
            }
            guard let found else {
                throw Fault(.notFound, "there is no image \(request.id.isEmpty ? request.name : request.id)", kind: .image)
            }
            return AdministrationService.state(found.image, found.owner)
        }
    }

    func listImages(request: ListImagesRequest, context: ServerContext) async throws -> ListImagesReply {
        try await answering { () async throws(Fault) in
            let images = try await engine.read { tx throws(Fault) in try tx.imagesOfAll() }
            return ListImagesReply.with { $0.images = images.map { AdministrationService.state($0.image, $0.owner) } }
        }
    }

    private func owner(_ number: String) async throws(Fault) -> Account {
        let account =
            number.isEmpty
            ? try await services.identity.account(named: AdministrationService.firstAccount)
            : try await services.identity.account(number: number)
        guard let account else {
            throw Fault(
                .notFound, number.isEmpty ? "there is no first account: run karri up" : "there is no account \(number)",
                kind: .account)
        }
        return account
    }

    /// The host whose pool takes uploads: the first by name that is up.
    private func place() async throws(Fault) -> (host: String, pool: ID<Pool>) {
        let now = chance.now()
        let hosts = try await engine.read { tx throws(Fault) in try tx.overview(at: now).hosts }
        guard let line = hosts.first(where: { $0.host.state == .up }) else {
            throw Fault(.unavailable, "no host is up whose pool could take an image: karri status", kind: .host)
        }
        return (line.host.name, line.pool.id)
    }

    private static func state(_ image: Image, _ owner: String) -> ImageState {
        ImageState.with {
            $0.id = shown(image)
            $0.state = image.state.rawValue
            $0.fault = image.fault ?? ""
            $0.size = image.size.bytes
            $0.digest = image.digest ?? ""
            $0.name = image.name
            $0.purpose = image.purpose.rawValue
            $0.account = owner
            $0.public = image.isPublic
        }
    }

    /// An image's id with the prefix of its purpose, as AWS has them.
    static func shown(_ image: Image) -> String {
        switch image.purpose {
        case .machine: image.id.shown
        case .kernel: "aki-0\(image.id.hex)"
        case .ramdisk: "ari-0\(image.id.hex)"
        }
    }

    /// Nil for no id at all.
    private static func image(_ text: String) throws(Fault) -> ID<Image>? {
        guard !text.isEmpty else { return nil }
        guard case .exactly(let id)? = TraceStory.Name(text), let image = id.typed(Image.self) else {
            throw Fault(.malformedId, "\(text) is not an image's id", kind: .image)
        }
        return image
    }
}
