//  Small shapes that many answers share.

import EC2Model
import Model
import Networks
import Store

extension EC2.Tag {
    init(_ tag: Tag) {
        self.init()
        key = tag.key
        value = tag.value
    }
}

extension EC2.GroupIdentifier {
    init(_ group: (id: ID<Group>, name: String)) {
        self.init()
        groupId = group.id.shown
        groupName = group.name
    }
}

/// Rewritings between the wire and the core that belong to no one resource.
enum Wire {
    static func tags(_ tags: [Tag]) -> [EC2.Tag] { tags.map(EC2.Tag.init) }

    /// A time as filters see it.
    static func time(_ instant: Instant) -> String { instant.iso8601(milliseconds: true) }

    static func word(_ flag: Bool) -> String { flag ? "true" : "false" }

    /// A stable id for what the core has no row of its own for, made of its owner's.
    static func derived(_ prefix: String, _ hex: String) -> String { "\(prefix)-0\(hex)" }
}
