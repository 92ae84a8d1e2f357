//  Machine images: what is registered, and how an upload becomes one.

import Authority
import Database
import Model
import Operations
import Store

extension Action where Thing == Image {
    public static let describe = Action("ec2:DescribeImages")
    public static let register = Action("ec2:RegisterImage")
    public static let use = Action("ec2:RunInstances")
}

/// The images service.
public struct ImagesService: Sendable {
    let engine: any Engine
    let chance: Chance

    public init(engine: any Engine, chance: Chance) {
        self.engine = engine
        self.chance = chance
    }

    /// A page of the images that the account may use, in order of id, or the named ones.
    public func images(_ ids: [ID<Image>], after: Int64, limit: Int, by call: Call) async throws(Fault) -> [ImageView] {
        try await engine.read { tx throws(Fault) in
            try call.permitList(Action<Image>.describe)
            let images =
                ids.isEmpty
                ? try tx.images(visibleTo: call.account(), after: after, limit: limit)
                : try tx.find(ids, for: .describe, by: call)
            return try images.map { image throws(Fault) in
                ImageView(
                    image: image, ownerNumber: try tx.find(Account.table, image.account)?.number ?? "",
                    // Tags are the owner's own.
                    tags: try image.account == call.account() ? tx.tags(of: .image, image.id.stored) : [])
            }
        }
    }

    /// What an upload is registered as.
    public struct Registration: Sendable {
        public var name: String
        public var description: String
        public var purpose: Image.Purpose
        public var isPublic: Bool
        public var kernel: ID<Image>?
        public var ramdisk: ID<Image>?

        public init(
            name: String, description: String, purpose: Image.Purpose, isPublic: Bool, kernel: ID<Image>?, ramdisk: ID<Image>?
        ) {
            self.name = name
            self.description = description
            self.purpose = purpose
            self.isPublic = isPublic
            self.kernel = kernel
            self.ramdisk = ramdisk
        }
    }

    /// Registers an upload that lies in a pool's uploads under the image's id in hex. The pool
    /// reads, checks and converts it; the image is `available` or `failed` after.
    public func register(_ registration: Registration, in pool: ID<Pool>, by call: Call) async throws(Fault) -> Image {
        try await engine.write(contending: call.contending) { tx throws(Fault) in
            var dice = call.dice
            try call.permit(Action<Image>.register)
            let account = try call.account()
            guard let place = try tx.find(Pool.table, pool) else { throw Fault(missing: pool.erased) }
            for part in [registration.kernel, registration.ramdisk] {
                if let part { _ = try tx.find(part, for: .use, by: call) }
            }
            let image = Image(
                id: dice.id(), account: account, name: registration.name, description: registration.description,
                purpose: registration.purpose, state: .pending, fault: nil, architecture: "x86_64", digest: nil, size: .zero,
                kernel: registration.kernel, ramdisk: registration.ramdisk, isPublic: registration.isPublic, created: call.now,
                revision: 1)
            guard try tx.claim(image, in: Image.table) else {
                throw Fault(.alreadyExists, "AMI name \(registration.name) is already in use.", kind: .image)
            }
            tx.add(
                Holding(
                    id: dice.id(), kind: .image, thing: image.id.stored, account: account, zone: place.zone, host: nil, pool: pool,
                    epoch: 1, wanted: .present, granted: true, observed: .unknown, fault: nil, startsDone: 0, rebootsDone: 0,
                    processors: 0, memory: .zero, bytes: .zero, created: call.now))
            let operation = try ImagesService.importing.operation(
                id: dice.id(), account: account, zone: place.zone, subject: image.id.erased, inputs: Import(pool: pool),
                request: call.request,
                principal: call.principal, now: call.now)
            try tx.begin(operation, holding: [image.id.erased])
            tx.tell(.image, image.id.stored, at: call.now, source: "cloud", request: call.request, "registered as \(image.name)")
            return image
        }
    }

    /// The image with this name of the account that the call acts in.
    public func image(named name: String, by call: Call) async throws(Fault) -> Image? {
        try await engine.read { tx throws(Fault) in try tx.image(named: name, of: call.account()) }
    }

    struct Import: Codable, Sendable {
        var pool: ID<Pool>
    }

    /// How long a pool may take to say anything new about an import.
    static let importPatience = Duration.seconds(1800)

    /// Reads an upload into its pool. The digest and size come from the pool's report, which the
    /// cluster controller wrote into the image's row.
    public static let importing = Program(
        "image.import",
        steps: [
            Step("import") { tx, context throws(Fault) in
                let id = ID<Image>(stored: context.operation.subject)
                guard let image = try tx.find(Image.table, id), let holding = try holding(tx, context) else {
                    return .failed("the image was removed")
                }
                switch holding.observed {
                case .ready where image.digest != nil:
                    // How much it takes is known only now; the pool has it already.
                    try tx.claimHeld(pool: context.inputs(Import.self).pool, bytes: image.size)
                    try tx.setBytes(image.size, of: holding)
                    try tx.update(id, state: .available, digest: image.digest, size: image.size, fault: nil)
                    tx.tell(.image, id.stored, at: context.now, source: "cloud", "available: \(image.size)")
                    tx.meter(
                        "image.available", .image, id.stored, account: image.account, zone: holding.zone, at: context.now,
                        facts: "{\"bytes\":\(image.size.bytes)}")
                    return .finished
                case .failed:
                    return try failed(tx, image, holding, holding.fault ?? "the pool gave no reason", context.now)
                default:
                    guard !context.isOverdue else {
                        return try failed(tx, image, holding, "the pool did not finish in time", context.now)
                    }
                    return .wait(for: [.holding(holding)], until: context.now + importPatience)
                }
            },
            // What an import left in the pool goes; the image's row stays, to say why it failed.
            Step("drop") { tx, context throws(Fault) in
                let image = try tx.find(Image.table, ID<Image>(stored: context.operation.subject))
                let reason = image?.fault ?? "the image was removed"
                guard let holding = try holding(tx, context) else { return .failed(reason) }
                guard try tx.isGone(holding) else {
                    return .wait(for: [.holding(holding)], until: context.now + dropPatience)
                }
                try tx.release(holding)
                return .failed(reason)
            },
        ],
        refused: { tx, context, fault throws(Fault) in
            guard let image = try tx.find(Image.table, ID<Image>(stored: context.operation.subject)),
                let holding = try holding(tx, context)
            else { return .failed(fault.message) }
            return try failed(tx, image, holding, fault.message, context.now)
        })

    /// How often the clean-up looks again for a pool's word.
    private static let dropPatience = Duration.seconds(120)

    private static func holding(_ tx: Writing, _ context: StepContext) throws(Fault) -> Holding? {
        try tx.holding(.image, context.operation.subject, in: context.inputs(Import.self).pool)
    }

    private static func failed(
        _ tx: Writing, _ image: Image, _ holding: Holding, _ reason: String, _ now: Instant
    ) throws(Fault) -> StepOutcome {
        try tx.update(image.id, state: .failed, digest: nil, size: .zero, fault: reason)
        tx.tell(.image, image.id.stored, at: now, source: "cloud", "failed: \(reason)")
        try tx.want(.absent, granted: true, of: holding)
        return .go(to: "drop")
    }

    /// What a pool would have to take for copies of some images that it has not yet.
    public func missing(_ tx: Reading, _ images: [Image], in pool: ID<Pool>) throws(Fault) -> ByteCount {
        var bytes = ByteCount.zero
        for image in images where try tx.holding(.image, image.id.stored, in: pool) == nil { bytes = bytes + image.size }
        return bytes
    }

    /// Makes sure that a pool holds, or is asked for, a copy of an image. The bytes of one that it has
    /// not yet were claimed before, in this transaction.
    public func addCopy(
        _ tx: Writing, of image: Image, in pool: ID<Pool>, zone: ID<Zone>, now: Instant, dice: inout Dice
    ) throws(Fault) {
        if let copy = try tx.holding(.image, image.id.stored, in: pool) {
            // A copy that failed once is made anew by who needs it next.
            if copy.observed == .failed { try tx.grantAnew(copy) }
            return
        }
        tx.add(
            Holding(
                id: dice.id(), kind: .image, thing: image.id.stored, account: image.account, zone: zone, host: nil, pool: pool,
                epoch: 1, wanted: .present, granted: true, observed: .unknown, fault: nil, startsDone: 0, rebootsDone: 0,
                processors: 0,
                memory: .zero, bytes: image.size, created: now))
    }
}

/// An image with what a list shows of it.
public struct ImageView: Sendable {
    public var image: Image
    public var ownerNumber: String
    public var tags: [Tag]
}
