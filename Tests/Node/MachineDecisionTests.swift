import Fabric
import Hypervisor
import Testing

@testable import Node

@Suite struct MachineDecisionTests {
    private func entry(_ wanted: MachineEntry.Power, starts: UInt64 = 1, reboots: UInt64 = 0) -> MachineEntry {
        MachineEntry.with {
            $0.wanted = wanted
            $0.startsWanted = starts
            $0.rebootsWanted = reboots
        }
    }

    @Test(
        arguments: [
            // Never started here: a first start, or the host booted anew.
            (nil, nil, 1, 0, MachineDecision.start),
            (.off, nil, 1, 0, .start),
            // Started again after a stop.
            (.off, RunMark(starts: 1, reboots: 0), 2, 0, .start),
            // It ran, and powered itself off.
            (.off, RunMark(starts: 1, reboots: 0), 1, 0, .report(.off)),
            (nil, RunMark(starts: 1, reboots: 0), 1, 0, .report(.off)),
            (.running, RunMark(starts: 1, reboots: 0), 1, 0, .report(.running)),
            // Killed between the start and the mark.
            (.running, nil, 1, 0, .remember),
            (.running, RunMark(starts: 1, reboots: 0), 2, 0, .remember),
            (.running, RunMark(starts: 1, reboots: 0), 1, 1, .reboot),
            (.running, RunMark(starts: 1, reboots: 1), 1, 1, .report(.running)),
            // A start that was cut off between creating and resuming, or a disk that failed.
            (.paused, nil, 1, 0, .resume),
            (.shuttingDown, RunMark(starts: 1, reboots: 0), 1, 0, .report(.running)),
        ] as [(MachineStatus.State?, RunMark?, UInt64, UInt64, MachineDecision)])
    func running(_ state: MachineStatus.State?, _ mark: RunMark?, starts: UInt64, reboots: UInt64, decision: MachineDecision) {
        let entry = entry(.running, starts: starts, reboots: reboots)
        #expect(MachineDecision.decide(entry, state, mark, graceIsOver: nil) == decision)
    }

    @Test(
        arguments: [
            (.running, nil, MachineDecision.shutDown),
            (.running, false, .report(.running)),
            (.running, true, .destroy),
            (.shuttingDown, false, .report(.running)),
            // A machine that is held still cannot follow the power button.
            (.paused, nil, .destroy),
            (.off, nil, .report(.off)),
            (nil, true, .report(.off)),
        ] as [(MachineStatus.State?, Bool?, MachineDecision)])
    func stopped(_ state: MachineStatus.State?, graceIsOver: Bool?, decision: MachineDecision) {
        #expect(
            MachineDecision.decide(entry(.stopped), state, RunMark(starts: 1, reboots: 0), graceIsOver: graceIsOver) == decision)
    }

    @Test(
        arguments: [
            (.running, RunMark(starts: 1, reboots: 0), MachineDecision.destroy),
            (.paused, nil, .destroy),
            (.off, RunMark(starts: 1, reboots: 0), .discard),
            // The folder is gone, the mark is not: a kill in the midst of discarding.
            (nil, RunMark(starts: 1, reboots: 0), .discard),
            (nil, nil, .report(.absent)),
        ] as [(MachineStatus.State?, RunMark?, MachineDecision)])
    func absent(_ state: MachineStatus.State?, _ mark: RunMark?, decision: MachineDecision) {
        #expect(MachineDecision.decide(entry(.absent), state, mark, graceIsOver: nil) == decision)
    }
}
