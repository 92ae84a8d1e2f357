//  `karri image`: files of this host become images, and the images of all accounts.

import ArgumentParser
import Fabric
import Model
import Platform

struct ImageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "image", abstract: "Imports and lists images.", subcommands: [Import.self, List.self])

    struct Import: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "import", abstract: "Makes an image of a raw or qcow2 disk, a kernel or a ramdisk.",
            discussion: "The file is read and converted in a confined child; it stays where it is.")
        @OptionGroup var place: PlaceOptions
        @Argument(help: "The file.") var file: String
        @Option(help: "The image's name.") var name: String
        @Option(help: "A sentence about it.") var description = ""
        @Option(help: "machine, kernel or ramdisk.") var purpose = "machine"
        @Option(help: ArgumentHelp("The kernel that it boots with.", valueName: "aki-…")) var kernel: String?
        @Option(help: ArgumentHelp("The ramdisk that it boots with.", valueName: "ari-…")) var ramdisk: String?
        @Option(help: ArgumentHelp("The account that owns it, by its twelve digits.", valueName: "account")) var account: String?
        @Flag(name: .long, help: "Lets every account use it.") var `public` = false

        func run() async throws {
            try requireRoot("image import")
            guard let purpose = Image.Purpose(rawValue: purpose) else {
                throw Fault(.invalidParameter, "--purpose is machine, kernel or ramdisk, not \(purpose)")
            }
            let installation = try place.installation()
            let configuration = try Configuration.require(installation)
            Output.remark("imports \(file)")
            let id = try await ImageUploads(installation).add(
                ImageUploads.Upload(
                    file: configuration.isSimulated ? nil : try PlaceOptions.absolute(file), name: name, description: description,
                    purpose: purpose, isPublic: `public`, kernel: kernel, ramdisk: ramdisk, account: account))
            Output.line(id)
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "Lists the images of all accounts.")
        @OptionGroup var place: PlaceOptions

        func run() async throws {
            let reply = try await AdministrationClient(installation: try place.installation()).ask { stub, options in
                try await stub.listImages(ListImagesRequest(), options: options)
            }
            for line in List.shown(reply.images) { Output.line(line) }
        }

        static func shown(_ images: [ImageState]) -> [String] {
            columns(
                [["ID", "NAME", "PURPOSE", "STATE", "SIZE", "ACCOUNT", "USED BY"]]
                    + images.map { image in
                        let state = image.fault.isEmpty ? image.state : "\(image.state): \(image.fault)"
                        return [
                            image.id, image.name, image.purpose, state, "\(ByteCount(image.size))", image.account,
                            image.public ? "everybody" : "its account",
                        ]
                    })
        }
    }
}
