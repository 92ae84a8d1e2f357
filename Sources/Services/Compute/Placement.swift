//  Where a machine goes: a pure function from the hosts as they are to the order in which they
//  are tried, and why the others were refused.

import Model

/// What a machine needs of a host.
public struct Need: Sendable, Hashable {
    public var processors: Int64
    public var memory: ByteCount

    public init(processors: Int64, memory: ByteCount) {
        self.processors = processors
        self.memory = memory
    }
}

/// The hosts to try, the best first, and the refusals.
public struct Placement: Sendable, Hashable {
    public var candidates: [ID<Host>]
    /// Host's name: why not.
    public var refusals: [String: String]

    /// Orders hosts by how much of them would be left free, so that load spreads. Hosts whose free
    /// memory is within an eighth of each other count as equal and are shuffled, so that calls at
    /// the same time do not all try the same host first.
    public static func choose(_ need: Need, among hosts: [Host], dice: inout Dice) -> Placement {
        var fitting: [Host] = []
        var refusals: [String: String] = [:]
        for host in hosts {
            if let refusal = refusal(need, by: host) { refusals[host.name] = refusal } else { fitting.append(host) }
        }
        let ranked = fitting.map { host in
            (band: host.memory > .zero ? host.memoryFree.bytes * 8 / host.memory.bytes : 0, throw: dice.next(), host: host)
        }
        .sorted { $0.band == $1.band ? $0.throw < $1.throw : $0.band > $1.band }
        return Placement(candidates: ranked.map(\.host.id), refusals: refusals)
    }

    private static func refusal(_ need: Need, by host: Host) -> String? {
        guard host.state == .up else { return "it is \(host.state.rawValue)" }
        if host.processorsFree < need.processors {
            return "\(max(0, host.processorsFree)) of \(need.processors) virtual processors are free"
        }
        if host.memoryFree < need.memory { return "\(max(.zero, host.memoryFree)) of \(need.memory) memory are free" }
        return nil
    }

    /// One sentence that says why nothing fitted.
    public var explanation: String {
        guard !refusals.isEmpty else { return "There is no host in this zone." }
        return refusals.sorted { $0.key < $1.key }.prefix(8).map { "\($0.key): \($0.value)" }.joined(separator: "; ")
    }
}
