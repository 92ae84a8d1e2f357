//  What to do about one machine: a pure function of what is wanted, what is, and what was done.

import Fabric
import Hypervisor
import Model

/// What this host has done with a machine since it booted.
struct RunMark: Sendable, Hashable {
    var starts: UInt64
    var reboots: UInt64
}

/// The next act towards a machine, or the word that all is as wanted.
enum MachineDecision: Sendable, Hashable {
    case start
    case resume
    case reboot
    /// Ask the guest, and end it when the grace is over.
    case shutDown
    case destroy
    /// Remove every trace.
    case discard
    /// It runs although nobody here remembers starting it: it was adopted.
    case remember
    case report(Holding.Observed)

    /// - Parameters:
    ///   - mark: Nil when this host has not started the machine since it booted.
    ///   - isAsked: Whether the guest was asked to shut down and the grace is not over.
    static func decide(
        _ entry: MachineEntry, _ state: MachineStatus.State?, _ mark: RunMark?, graceIsOver: Bool?
    ) -> MachineDecision {
        switch entry.wanted {
        case .running: running(entry, state, mark)
        case .stopped, .UNRECOGNIZED: stopped(state, graceIsOver)
        case .absent: absent(state, mark)
        }
    }

    private static func running(_ entry: MachineEntry, _ state: MachineStatus.State?, _ mark: RunMark?) -> MachineDecision {
        switch state {
        case .running:
            guard let mark, mark.starts >= entry.startsWanted else { return .remember }
            return mark.reboots < entry.rebootsWanted ? .reboot : .report(.running)
        case .paused: return .resume
        case .shuttingDown: return .report(.running)
        case .off, nil:
            // With a mark of this start it ran, and ended by itself.
            if let mark, mark.starts >= entry.startsWanted { return .report(.off) }
            return .start
        }
    }

    private static func stopped(_ state: MachineStatus.State?, _ graceIsOver: Bool?) -> MachineDecision {
        switch state {
        case .off, nil: return .report(.off)
        case .paused: return .destroy
        case .running, .shuttingDown:
            switch graceIsOver {
            case nil: return .shutDown
            case true?: return .destroy
            case false?: return .report(.running)
            }
        }
    }

    private static func absent(_ state: MachineStatus.State?, _ mark: RunMark?) -> MachineDecision {
        switch state {
        case .running, .paused, .shuttingDown: .destroy
        case .off: .discard
        case nil: mark == nil ? .report(.absent) : .discard
        }
    }
}
