//  Writes what owners report: the only writer of what is observed.

import Database
import Fabric
import Logging
import Model
import Store

/// Writes reports into holdings, images and machines.
public struct ReportWriter: Sendable {
    /// Called in the report's transaction for a machine that is off although it should run.
    public typealias PoweredOff = @Sendable (Writing, Holding, Instant, inout Dice) throws(Fault) -> Void

    let engine: any Engine
    let chance: Chance
    let log: Logger
    let poweredOff: PoweredOff

    /// One batch of one owner, in one transaction.
    func write(_ reports: [Report], from session: OwnerSession) async throws(Fault) {
        guard !reports.isEmpty else { return }
        let now = chance.now()
        let seed = chance.bits()
        try await engine.write { tx throws(Fault) in
            var dice = Dice(seed: seed)
            for report in reports { try write(tx, report, session, now, &dice) }
        }
    }

    private func write(_ tx: Writing, _ report: Report, _ session: OwnerSession, _ now: Instant, _ dice: inout Dice) throws(Fault) {
        guard let bits = UInt64(report.key, radix: 16),
            let holding = try holding(tx, report.section, Int64(bitPattern: bits), session)
        else {
            return
        }
        // A word about an earlier grant says nothing about this one.
        guard report.entryEpoch == UInt64(holding.epoch), let observed = Holding.Observed(rawValue: report.state) else { return }
        let fault = report.fault.isEmpty ? nil : String(report.fault.prefix(1000))
        let startsDone = Int64(clamping: report.startsDone)
        let rebootsDone = Int64(clamping: report.rebootsDone)
        guard
            observed != holding.observed || fault != holding.fault || startsDone != holding.startsDone
                || rebootsDone != holding.rebootsDone
        else { return }
        if holding.kind == .image { try noteImage(tx, report, holding, observed) }
        try tx.observe(observed, fault: fault, startsDone: startsDone, rebootsDone: rebootsDone, of: holding)
        tell(tx, holding, observed, fault, session, now)
        if holding.kind == .machine {
            var seen = holding
            seen.observed = observed
            seen.startsDone = startsDone
            try noteMachine(tx, seen, now, &dice)
        }
    }

    private func holding(_ tx: Writing, _ section: String, _ thing: Int64, _ session: OwnerSession) throws(Fault) -> Holding? {
        switch section {
        case Section.machines: try tx.holding(.machine, thing, on: session.host)
        case Section.disks: try tx.holding(.disk, thing, in: session.pool)
        case Section.images: try tx.holding(.image, thing, in: session.pool)
        default: nil
        }
    }

    private func noteImage(_ tx: Writing, _ report: Report, _ holding: Holding, _ observed: Holding.Observed) throws(Fault) {
        let id = ID<Image>(stored: holding.thing)
        guard observed == .ready, let image = try tx.find(Image.table, id), image.digest == nil, !report.digest.isEmpty else {
            return
        }
        try tx.update(id, state: image.state, digest: report.digest, size: ByteCount(report.size), fault: nil)
    }

    private func noteMachine(_ tx: Writing, _ holding: Holding, _ now: Instant, _ dice: inout Dice) throws(Fault) {
        let power: Instance.Power
        switch holding.observed {
        case .running: power = .running
        case .paused: power = .paused
        case .off: power = .off
        case .failed: power = .failed
        case .absent: power = .absent
        case .unknown, .working, .ready: return
        }
        try tx.observe(power, of: ID(stored: holding.thing))
        if power == .off, holding.wanted == .running { try poweredOff(tx, holding, now, &dice) }
    }

    private func tell(
        _ tx: Writing, _ holding: Holding, _ observed: Holding.Observed, _ fault: String?, _ session: OwnerSession, _ now: Instant
    ) {
        let kind: Kind
        switch holding.kind {
        case .machine: kind = .instance
        case .disk: kind = .volume
        case .image: kind = .image
        }
        let words = fault.map { "\(observed.rawValue): \($0)" } ?? observed.rawValue
        tx.tell(kind, holding.thing, at: now, source: "node \(session.name)", words)
    }
}
