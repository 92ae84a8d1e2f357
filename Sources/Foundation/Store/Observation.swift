//  What an owner says of a thing, and the one place that writes it down. It leaves revisions alone:
//  what is observed is nobody's change.

import Database
import Model

/// An owner's word on one holding.
public struct Observation: Sendable, Hashable {
    public var observed: Holding.Observed
    /// Why it failed, or ended by itself.
    public var fault: String?
    public var startsDone: Int64
    public var rebootsDone: Int64
    /// What an import found: SHA-256 in hex, and the virtual size.
    public var digest: String?
    public var size: ByteCount

    public init(
        _ observed: Holding.Observed, fault: String? = nil, startsDone: Int64 = 0, rebootsDone: Int64 = 0, digest: String? = nil,
        size: ByteCount = .zero
    ) {
        self.observed = observed
        self.fault = fault
        self.startsDone = startsDone
        self.rebootsDone = rebootsDone
        self.digest = digest
        self.size = size
    }
}

extension Writing {
    /// Writes an observation into its holding, and into the image or machine that it is of. Only
    /// for who speaks for the owner: the zone's cluster controller.
    ///
    /// - Returns: The holding as it is now; nil when it said nothing new.
    public func note(_ word: Observation, of holding: Holding) throws(Fault) -> Holding? {
        var now = holding
        now.observed = word.observed
        now.fault = word.fault
        now.startsDone = word.startsDone
        now.rebootsDone = word.rebootsDone
        guard now != holding else { return nil }
        if holding.kind == .image, word.observed == .ready, let digest = word.digest {
            let id = ID<Image>(stored: holding.thing)
            if let image = try find(Image.table, id), image.digest == nil {
                try update(id, state: image.state, digest: digest, size: word.size, fault: nil)
            }
        }
        try observe(word.observed, fault: word.fault, startsDone: word.startsDone, rebootsDone: word.rebootsDone, of: holding)
        if holding.kind == .machine, let power = Instance.Power(word.observed) {
            try observe(power, of: ID(stored: holding.thing))
        }
        return now
    }
}

extension Instance.Power {
    /// What a host's word on a machine says of its power; nil when it says nothing.
    init?(_ observed: Holding.Observed) {
        switch observed {
        case .running: self = .running
        case .paused: self = .paused
        case .off: self = .off
        case .failed: self = .failed
        case .absent: self = .absent
        case .unknown, .working, .ready: return nil
        }
    }
}
