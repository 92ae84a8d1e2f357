//  Images in the store.

import Database
import Model

extension Image {
    public static let table = Table(
        "image",
        Field("id", \Image.id),
        Field("account", \Image.account),
        Field("name", \Image.name),
        Field("description", \Image.description),
        Field("purpose", \Image.purpose),
        Field("state", \Image.state),
        Field("fault", \Image.fault),
        Field("architecture", \Image.architecture),
        Field("digest", \Image.digest),
        Field("size", \Image.size),
        Field("kernel", \Image.kernel),
        Field("ramdisk", \Image.ramdisk),
        Field("is_public", \Image.isPublic),
        Field("created", \Image.created),
        Field("revision", \Image.revision),
        make: Image.init)
}

extension Reading {
    /// Images that an account may use: its own and public ones, in order of id.
    public func images(visibleTo account: ID<Account>, after: Int64, limit: Int) throws(Fault) -> [Image] {
        try all(
            Image.table, where: "(account = $1 OR is_public) AND state <> 'absent' AND id > $2 ORDER BY id LIMIT $3",
            [account.value, after.value, limit.value])
    }

    /// The image that has a name, or else the last that failed to become it.
    public func image(named name: String, of account: ID<Account>) throws(Fault) -> Image? {
        let images = try all(
            Image.table, where: "account = $1 AND name = $2 AND state <> 'absent' ORDER BY created DESC, id LIMIT 100",
            [account.value, .text(name)])
        return images.first { $0.state != .failed } ?? images.first
    }
}

extension Writing {
    public func update(_ image: ID<Image>, state: Image.State, digest: String?, size: ByteCount, fault: String?) throws(Fault) {
        try run(
            "UPDATE image SET state = $2, digest = $3, size = $4, fault = $5, revision = revision + 1 WHERE id = $1",
            [image.value, state.value, digest.value, size.value, fault.value])
        changed("image", image.stored)
    }
}
