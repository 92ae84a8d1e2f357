//  Tags of everything that an account owns.

import Authority
import Database
import Model
import Networks
import Store
import Volumes

extension Action where Thing == Instance {
    public static let createTags = Action("ec2:CreateTags")
    public static let deleteTags = Action("ec2:DeleteTags")
    public static let describeTags = Action("ec2:DescribeTags")
}

extension ComputeService {
    /// EC2's limits.
    public static let tagsMax = 50
    static let tagKeyMax = 128
    static let tagValueMax = 256

    /// Why a tag cannot be set, in EC2's words; nil when it can.
    public static func problem(key: String, value: String) -> String? {
        if key.isEmpty { return "Tag key cannot be empty" }
        if key.lowercased().hasPrefix("aws:") { return "Tag keys starting with 'aws:' are reserved for internal use" }
        if key.count > tagKeyMax { return "Tag key exceeds the maximum length of 128 characters" }
        if value.count > tagValueMax { return "Tag value exceeds the maximum length of 256 characters" }
        return nil
    }

    /// Sets tags on things, all or none.
    public func tag(_ things: [AnyID], _ tags: [(key: String, value: String)], by call: Call) async throws(Fault) {
        try await engine.write(contending: call.contending) { tx throws(Fault) in
            try call.permit(Action<Instance>.createTags, context: call.requestTags(Dictionary(tags) { _, last in last }))
            let account = try call.account()
            for thing in things { try require(tx, thing, of: account) }
            try call.endIfDryRun()
            for thing in things {
                for (key, value) in tags {
                    tx.set(Tag(account: account, kind: thing.kind, thing: thing.stored, key: key, value: value))
                }
                guard try tx.tags(of: thing.kind, thing.stored).count <= ComputeService.tagsMax else {
                    throw Fault(.tooManyTags, "You have reached the maximum of 50 tags per resource.", kind: thing.kind).about(
                        thing)
                }
                announce(tx, thing)
            }
        }
    }

    /// Removes tags by key, or by key and value; all of a thing's tags when none is named.
    public func untag(_ things: [AnyID], _ tags: [(key: String, value: String?)], by call: Call) async throws(Fault) {
        try await engine.write(contending: call.contending) { tx throws(Fault) in
            try call.permit(Action<Instance>.deleteTags)
            let account = try call.account()
            for thing in things { try require(tx, thing, of: account) }
            try call.endIfDryRun()
            for thing in things {
                if tags.isEmpty { try tx.removeTags(of: thing.kind, thing.stored) }
                for (key, value) in tags { try tx.removeTag(thing.kind, thing.stored, key: key, value: value) }
                announce(tx, thing)
            }
        }
    }

    /// A page of the account's tags.
    public func tags(after: (kind: String, thing: Int64, key: String), limit: Int, by call: Call) async throws(Fault) -> [Tag] {
        try await engine.read { tx throws(Fault) in
            try call.permitList(Action<Instance>.describeTags)
            return try tx.tags(of: call.account(), after: after, limit: limit)
        }
    }

    /// The tags of some things of the account, of all kinds.
    public func tags(of things: [AnyID], by call: Call) async throws(Fault) -> [Tag] {
        try await engine.read { tx throws(Fault) in
            try call.permitList(Action<Instance>.describeTags)
            let account = try call.account()
            var tags: [Tag] = []
            for thing in things { tags += try tx.tags(of: thing.kind, thing.stored).filter { $0.account == account } }
            return tags
        }
    }

    /// Guests may read their tags from the metadata service.
    private func announce(_ tx: Writing, _ thing: AnyID) {
        if thing.kind == .instance { tx.changed("instance", thing.stored) }
    }

    private func require(_ tx: Writing, _ thing: AnyID, of account: ID<Account>) throws(Fault) {
        let owner: ID<Account>?
        switch thing.kind {
        case .instance: owner = try tx.find(Instance.table, ID<Instance>(bits: thing.bits))?.account
        case .image: owner = try tx.find(Image.table, ID<Image>(bits: thing.bits))?.account
        case .volume: owner = try tx.find(Volume.table, ID<Volume>(bits: thing.bits))?.account
        case .keyPair: owner = try tx.find(KeyPair.table, ID<KeyPair>(bits: thing.bits))?.account
        case .router: owner = try tx.find(Router.table, ID<Router>(bits: thing.bits))?.account
        case .subnet: owner = try tx.find(Subnet.table, ID<Subnet>(bits: thing.bits))?.account
        case .port: owner = try tx.find(Port.table, ID<Port>(bits: thing.bits))?.account
        case .group: owner = try tx.find(Group.table, ID<Group>(bits: thing.bits))?.account
        case .rule: owner = try tx.find(Rule.table, ID<Rule>(bits: thing.bits))?.account
        default: owner = nil
        }
        guard owner == account else { throw Fault(missing: thing) }
    }
}
