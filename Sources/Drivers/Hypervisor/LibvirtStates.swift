//  libvirt's states, reasons and events in Karri's words: one switch each.

import CLibvirt
import Model

enum LibvirtStates {
    /// virDomainGetState's answer.
    static func state(_ state: Int32, _ reason: Int32) -> (MachineStatus.State, MachineStatus.Reason) {
        switch virDomainState(rawValue: UInt32(bitPattern: state)) {
        case VIR_DOMAIN_RUNNING, VIR_DOMAIN_BLOCKED: return (.running, .requested)
        case VIR_DOMAIN_PAUSED, VIR_DOMAIN_PMSUSPENDED: return (.paused, pausedReason(reason))
        case VIR_DOMAIN_SHUTDOWN: return (.shuttingDown, .requested)
        case VIR_DOMAIN_SHUTOFF: return (.off, offReason(reason))
        case VIR_DOMAIN_CRASHED: return (.off, .crashed)
        default: return (.running, .unknown)
        }
    }

    private static func pausedReason(_ reason: Int32) -> MachineStatus.Reason {
        switch virDomainPausedReason(rawValue: UInt32(bitPattern: reason)) {
        case VIR_DOMAIN_PAUSED_IOERROR: .diskError
        case VIR_DOMAIN_PAUSED_CRASHED: .crashed
        case VIR_DOMAIN_PAUSED_MIGRATION: .migrated
        case VIR_DOMAIN_PAUSED_USER, VIR_DOMAIN_PAUSED_STARTING_UP: .requested
        default: .unknown
        }
    }

    private static func offReason(_ reason: Int32) -> MachineStatus.Reason {
        switch virDomainShutoffReason(rawValue: UInt32(bitPattern: reason)) {
        case VIR_DOMAIN_SHUTOFF_SHUTDOWN: .guestPoweredOff
        case VIR_DOMAIN_SHUTOFF_DESTROYED: .destroyed
        case VIR_DOMAIN_SHUTOFF_CRASHED: .crashed
        case VIR_DOMAIN_SHUTOFF_FAILED: .failedToStart
        case VIR_DOMAIN_SHUTOFF_MIGRATED: .migrated
        default: .unknown
        }
    }

    /// A lifecycle event; nil for one that says nothing about what runs.
    static func event(name: String, event: Int32, detail: Int32) -> MachineEvent? {
        switch virDomainEventType(rawValue: UInt32(bitPattern: event)) {
        case VIR_DOMAIN_EVENT_STARTED: return .started(name: name)
        case VIR_DOMAIN_EVENT_RESUMED: return .resumed(name: name)
        case VIR_DOMAIN_EVENT_SUSPENDED:
            switch virDomainEventSuspendedDetailType(rawValue: UInt32(bitPattern: detail)) {
            case VIR_DOMAIN_EVENT_SUSPENDED_IOERROR: return .paused(name: name, reason: .diskError)
            case VIR_DOMAIN_EVENT_SUSPENDED_PAUSED: return .paused(name: name, reason: .requested)
            case VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED: return .paused(name: name, reason: .migrated)
            default: return .paused(name: name, reason: .unknown)
            }
        case VIR_DOMAIN_EVENT_STOPPED: return .stopped(name: name, reason: stopped(detail))
        case VIR_DOMAIN_EVENT_CRASHED: return .stopped(name: name, reason: .crashed)
        default: return nil
        }
    }

    private static func stopped(_ detail: Int32) -> MachineStatus.Reason {
        switch virDomainEventStoppedDetailType(rawValue: UInt32(bitPattern: detail)) {
        case VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: .guestPoweredOff
        case VIR_DOMAIN_EVENT_STOPPED_DESTROYED: .destroyed
        // QEMU's sudden death comes as "failed" (libvirt 9, qemuProcessHandleMonitorEOF).
        case VIR_DOMAIN_EVENT_STOPPED_CRASHED, VIR_DOMAIN_EVENT_STOPPED_FAILED: .crashed
        case VIR_DOMAIN_EVENT_STOPPED_MIGRATED: .migrated
        default: .unknown
        }
    }
}
