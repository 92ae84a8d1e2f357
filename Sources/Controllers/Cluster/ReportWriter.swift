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
    /// The lease under which reports are written, and its epoch.
    let lease: String
    let epoch: Int64
    let poweredOff: PoweredOff

    /// One batch of one owner, in one transaction.
    func write(_ reports: [Report], from session: OwnerSession) async throws(Fault) {
        guard !reports.isEmpty else { return }
        let now = chance.now()
        let seed = chance.bits()
        try await engine.write { tx throws(Fault) in
            try tx.require(lease, epoch: epoch)
            var dice = Dice(seed: seed)
            for report in reports { try write(tx, report, session, now, &dice) }
        }
    }

    private func write(_ tx: Writing, _ report: Report, _ session: OwnerSession, _ now: Instant, _ dice: inout Dice) throws(Fault) {
        guard let bits = UInt64(report.key, radix: 16),
            let kind = kind(of: report.section)
        else { return }
        guard let holding = try holding(tx, kind, Int64(bitPattern: bits), session) else {
            if report.state == Holding.Observed.absent.rawValue {
                try tx.forget(
                    Remnant(
                        host: session.host, kind: kind, thing: Int64(bitPattern: bits), epoch: Int64(clamping: report.entryEpoch),
                        purpose: nil, digest: nil))
            }
            return
        }
        // A word about an earlier grant says nothing about this one.
        guard report.entryEpoch == UInt64(holding.epoch), let observed = Holding.Observed(rawValue: report.state) else { return }
        let word = Observation(
            observed, fault: report.fault.isEmpty ? nil : String(report.fault.prefix(1000)),
            startsDone: Int64(clamping: report.startsDone),
            rebootsDone: Int64(clamping: report.rebootsDone), digest: report.digest.isEmpty ? nil : report.digest,
            size: ByteCount(report.size))
        guard let seen = try tx.note(word, of: holding) else { return }
        tell(tx, seen, session, now)
        if seen.kind == .machine, seen.observed == .off, seen.wanted == .running { try poweredOff(tx, seen, now, &dice) }
    }

    private func kind(of section: String) -> Holding.Thing? {
        switch section {
        case Section.machines: .machine
        case Section.disks: .disk
        case Section.images: .image
        default: nil
        }
    }

    private func holding(
        _ tx: Writing, _ kind: Holding.Thing, _ thing: Int64, _ session: OwnerSession
    ) throws(Fault) -> Holding? {
        switch kind {
        case .machine: try tx.holding(.machine, thing, on: session.host)
        case .disk, .image: try tx.holding(kind, thing, in: session.pool)
        }
    }

    private func tell(_ tx: Writing, _ holding: Holding, _ session: OwnerSession, _ now: Instant) {
        let kind: Kind
        switch holding.kind {
        case .machine: kind = .instance
        case .disk: kind = .volume
        case .image: kind = .image
        }
        let words = holding.fault.map { "\(holding.observed.rawValue): \($0)" } ?? holding.observed.rawValue
        tx.tell(kind, holding.thing, at: now, source: "node \(session.name)", words)
    }
}
