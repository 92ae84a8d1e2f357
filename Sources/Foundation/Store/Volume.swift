//  Volumes and their attachments in the store.

import Database
import Model

extension Volume {
    public static let table = Table(
        "volume",
        Field("id", \Volume.id),
        Field("account", \Volume.account),
        Field("zone", \Volume.zone),
        Field("pool", \Volume.pool),
        Field("type", \Volume.type),
        Field("size", \Volume.size),
        Field("image", \Volume.image),
        Field("desired", \Volume.desired),
        Field("epoch", \Volume.epoch),
        Field("created", \Volume.created),
        Field("revision", \Volume.revision),
        make: Volume.init)
}

extension Attachment {
    public static let table = Table(
        "attachment",
        Field("id", \Attachment.id),
        Field("account", \Attachment.account),
        Field("instance", \Attachment.instance),
        Field("volume", \Attachment.volume),
        Field("device", \Attachment.device),
        Field("is_root", \Attachment.isRoot),
        Field("delete_on_termination", \Attachment.deleteOnTermination),
        Field("created", \Attachment.created),
        make: Attachment.init)
}

extension Reading {
    /// An account's volumes in order of id.
    public func volumes(of account: ID<Account>, after: Int64, limit: Int) throws(Fault) -> [Volume] {
        try all(Volume.table, where: "account = $1 AND id > $2 ORDER BY id LIMIT $3", [account.value, after.value, limit.value])
    }

    public func attachment(of volume: ID<Volume>) throws(Fault) -> Attachment? {
        try all(Attachment.table, where: "volume = $1", [volume.value]).first
    }

    /// The disks of a machine, the root disk first.
    public func attachments(of instance: ID<Instance>) throws(Fault) -> [Attachment] {
        try all(Attachment.table, where: "instance = $1 ORDER BY is_root DESC, device", [instance.value])
    }
}

extension Writing {
    /// Removes a volume's row and its attachment, once its pool has said that it is gone.
    public func forget(_ volume: ID<Volume>) throws(Fault) {
        try run("DELETE FROM attachment WHERE volume = $1", [volume.value])
        try removeTags(of: .volume, volume.stored)
        let images = try values("DELETE FROM volume WHERE id = $1 RETURNING image", [volume.value], as: ID<Image>?.self)
        for image in images.compactMap(\.self) { try left(image) }
        changed("volume", volume.stored)
    }
}
