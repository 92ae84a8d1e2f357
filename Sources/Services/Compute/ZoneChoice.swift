//  Which zone a launch goes to that names none: the one with the most room among those where all of
//  it fits, else where most of it does. Pure.

import Model

/// What a zone has for a launch.
public struct ZoneRoom: Sendable, Hashable {
    public var zone: ID<Zone>
    /// How many machines its hosts have room for.
    public var machines: Int64
    /// Thousandths of its hosts' memory that are free.
    public var share: Int64

    /// - Parameter hosts: Of this zone alone.
    public init(zone: ID<Zone>, need: Need, hosts: [Host]) {
        self.zone = zone
        let up = hosts.filter { $0.state == .up }
        machines = up.reduce(0) { sum, host in
            let byProcessors = need.processors > 0 ? host.processorsFree / need.processors : .max
            let byMemory = need.memory > .zero ? host.memoryFree.bytes / need.memory.bytes : .max
            let (more, overflow) = sum.addingReportingOverflow(max(0, min(byProcessors, byMemory)))
            return overflow ? .max : more
        }
        let all = up.reduce(0) { $0 + $1.memory.bytes >> 20 }
        share = all > 0 ? up.reduce(0) { $0 + max(0, $1.memoryFree.bytes) >> 20 } * 1000 / all : 0
    }

    /// The zones in the order in which a launch tries them. Those that are nearly equally free are
    /// shuffled, so that launches spread.
    public static func order(_ rooms: [ZoneRoom], for machines: Int, dice: inout Dice) -> [ID<Zone>] {
        let ranked = rooms.map { room in
            // Beyond what is asked for more room is no better: then the share that is free counts.
            (fits: min(room.machines, Int64(machines)), band: room.share / 125, throw: dice.next(), zone: room.zone)
        }
        return ranked.sorted {
            if $0.fits != $1.fits { return $0.fits > $1.fits }
            return $0.band == $1.band ? $0.throw < $1.throw : $0.band > $1.band
        }.map(\.zone)
    }
}
