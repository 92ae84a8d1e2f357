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

    /// All places of an image.
    public func copies(of image: ID<Image>) throws(Fault) -> [Holding] {
        try all(Holding.table, where: "thing_kind = 'image' AND thing = $1 ORDER BY id", [image.value])
    }

    /// Whether a machine or disk needs an image's copy in a pool.
    public func needs(_ image: ID<Image>, in pool: ID<Pool>) throws(Fault) -> Bool {
        if try exists("SELECT 1 FROM volume WHERE image = $1 AND pool = $2 LIMIT 1", [image.value, pool.value]) { return true }
        for column in ["kernel", "ramdisk"] {
            let boots = try exists(
                """
                SELECT 1 FROM instance i JOIN holding h ON h.thing_kind = 'machine' AND h.thing = i.id JOIN host o ON o.id = h.host
                WHERE i.\(column) = $1 AND i.ended IS NULL AND o.pool = $2 LIMIT 1
                """, [image.value, pool.value])
            if boots { return true }
        }
        return false
    }

    /// Whether another image boots with this kernel or ramdisk.
    public func isPart(_ image: ID<Image>) throws(Fault) -> Bool {
        if try exists("SELECT 1 FROM image WHERE kernel = $1 LIMIT 1", [image.value]) { return true }
        return try exists("SELECT 1 FROM image WHERE ramdisk = $1 LIMIT 1", [image.value])
    }

    /// Whether a pool should keep a digest's file for another image than this.
    public func shares(_ image: Image, in pool: ID<Pool>) throws(Fault) -> Bool {
        guard let digest = image.digest else { return false }
        return try exists(
            """
            SELECT 1 FROM holding h JOIN image i ON i.id = h.thing
            WHERE h.pool = $1 AND h.thing_kind = 'image' AND h.wanted <> 'absent' AND h.thing <> $2 AND i.digest = $3 LIMIT 1
            """, [pool.value, image.id.value, .text(digest)])
    }
}

extension Writing {
    public func update(_ image: ID<Image>, state: Image.State, digest: String?, size: ByteCount, fault: String?) throws(Fault) {
        try run(
            "UPDATE image SET state = $2, digest = $3, size = $4, fault = $5, revision = revision + 1 WHERE id = $1",
            [image.value, state.value, digest.value, size.value, fault.value])
        changed("image", image.stored)
    }

    /// Somebody needs an image no longer: wakes its removal, if it is being removed.
    public func left(_ image: ID<Image>) throws(Fault) {
        if try exists("SELECT 1 FROM image WHERE id = $1 AND state = 'absent'", [image.value]) { changed("image", image.stored) }
    }

    /// Removes the row of an image that no owner holds any more.
    public func forget(_ image: Image) throws(Fault) {
        try run("DELETE FROM image WHERE id = $1", [image.id.value])
        for part in [image.kernel, image.ramdisk].compactMap(\.self) { try left(part) }
        changed("image", image.id.stored)
    }
}
