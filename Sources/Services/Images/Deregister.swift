//  Deregistering an image: nobody sees or launches it from then on, machines that run from it run
//  on, and each pool drops its copy when the last machine there that needs it is gone.

import Authority
import Database
import Model
import Operations
import Store

extension Action where Thing == Image {
    public static let deregister = Action("ec2:DeregisterImage")
}

extension ImagesService {
    /// Removes an image of the caller's: one that is available, that failed, or that is still being
    /// imported.
    ///
    /// - Throws: `.notFound`, `.notOwner` for another account's public image.
    public func deregister(_ id: ID<Image>, by call: Call) async throws(Fault) {
        try await engine.write(contending: call.contending) { tx throws(Fault) in
            var dice = call.dice
            let image = try tx.find(id, for: .deregister, by: call).row
            try call.endIfDryRun()
            if let busy = try tx.operation(holding: .image, id.stored) {
                try tx.fail(busy, reason: "the image was deregistered", at: call.now)
            }
            try tx.update(id, state: .absent, digest: image.digest, size: image.size, fault: image.fault)
            try tx.removeTags(of: .image, id.stored)
            let copies = try tx.copies(of: id)
            let operation = try ImagesService.removing.operation(
                id: dice.id(), account: image.account, zone: copies.first?.zone, subject: id.erased, inputs: [String: String](),
                request: call.request, principal: call.principal, now: call.now)
            try tx.begin(operation, holding: [id.erased])
            tx.tell(.image, id.stored, at: call.now, source: "cloud", request: call.request, "deregistered")
            if image.state == .available, let zone = copies.first?.zone {
                tx.meter("image.gone", .image, id.stored, account: image.account, zone: zone, at: call.now, facts: "{}")
            }
        }
    }

    /// How long a copy may be needed, or a pool be silent, before it is looked at again.
    private static let removalPatience = Duration.seconds(3600)

    /// From an image that nobody is shown to one that there is not. It ends when the last machine
    /// that needs it has gone, and never fails.
    public static let removing = Program(
        "image.deregister",
        steps: [
            Step("copies") { tx, context throws(Fault) in
                let id = ID<Image>(stored: context.operation.subject)
                var isLeft = false
                var awaited = [AwaitedRow("image", id.stored)]
                for copy in try tx.copies(of: id) {
                    if let pool = copy.pool, try tx.needs(id, in: pool) {
                        isLeft = true
                        continue
                    }
                    if copy.wanted != .absent { try tx.want(.absent, granted: true, of: copy) }
                    if copy.wanted == .absent, try tx.isGone(copy) {
                        try tx.release(copy)
                    } else {
                        isLeft = true
                        awaited.append(.holding(copy))
                    }
                }
                return isLeft ? .wait(for: awaited, until: context.now + removalPatience) : .go(to: "gone")
            },
            Step("gone") { tx, context throws(Fault) in
                let id = ID<Image>(stored: context.operation.subject)
                // Images that boot with it keep its row, though not its bytes.
                if try tx.isPart(id) {
                    return .wait(for: [AwaitedRow("image", id.stored)], until: context.now + removalPatience)
                }
                if let image = try tx.find(Image.table, id) { try tx.forget(image) }
                tx.tell(.image, id.stored, at: context.now, source: "cloud", "gone")
                return .finished
            },
        ],
        refused: { tx, context, fault throws(Fault) in
            // The clean-up is never given up.
            tx.tell(
                .image, context.operation.subject, at: context.now, source: "cloud",
                "the removal will be tried again: \(fault.message)")
            return .wait(for: [], until: context.now + .seconds(5))
        })
}
