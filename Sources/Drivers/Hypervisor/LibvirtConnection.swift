//  One open connection to libvirt with its events, and the rooms in which calls on it may block.

import CLibvirt
import Model
import Platform
import Synchronization

/// An actor on a thread of its own, in which libvirt's calls block. libvirt lets several threads use
/// one connection, so a few lanes start machines side by side.
actor LibvirtLane {
    private let executor: BlockingExecutor

    init(name: String) { executor = BlockingExecutor(name: name) }

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    func perform<Result: Sendable>(_ body: @Sendable () throws(Fault) -> Result) throws(Fault) -> Result { try body() }
}

/// A connection. Closed when the last user lets go.
///
/// Unchecked, because libvirt's connections may be used from several threads ("Thread safety" in
/// libvirt's API concepts), and the only other state is atomic.
final class LibvirtConnection: @unchecked Sendable {
    let pointer: virConnectPtr
    private let sink: LibvirtEventSink
    private let callbacks: [Int32]

    /// Opens a connection and asks for events. Blocks.
    init(uri: String, sink: LibvirtEventSink) throws(Fault) {
        guard LibvirtRuntime.ready else { throw Fault(.driver, "libvirt's client library cannot be initialised") }
        guard let pointer = virConnectOpen(uri) else { throw LibvirtFault.last("connect to libvirt") }
        self.pointer = pointer
        self.sink = sink
        callbacks = [
            Self.register(sink) { karri_on_lifecycle(pointer, LibvirtEventSink.onLifecycle, $0, LibvirtEventSink.release) },
            Self.register(sink) { karri_on_reboot(pointer, LibvirtEventSink.onReboot, $0, LibvirtEventSink.release) },
            Self.register(sink) { karri_on_disk_error(pointer, LibvirtEventSink.onDiskError, $0, LibvirtEventSink.release) },
        ]
        _ = Self.register(sink) {
            virConnectRegisterCloseCallback(pointer, LibvirtEventSink.onClose, $0, LibvirtEventSink.release)
        }
        // A daemon that hangs is one that is gone after half a minute. Some drivers have no such thing.
        _ = virConnectSetKeepAlive(pointer, 5, 6)
    }

    deinit {
        sink.silence()
        virConnectUnregisterCloseCallback(pointer, LibvirtEventSink.onClose)
        for callback in callbacks where callback >= 0 { virConnectDomainEventDeregisterAny(pointer, callback) }
        virConnectClose(pointer)
    }

    /// Gives libvirt a reference to the sink, which it releases when it will call back no more.
    private static func register(_ sink: LibvirtEventSink, _ call: (UnsafeMutableRawPointer) -> Int32) -> Int32 {
        let reference = Unmanaged.passRetained(sink)
        let number = call(reference.toOpaque())
        if number < 0 { reference.release() }
        return number
    }

    /// False once the daemon has closed it or stopped answering.
    var isAlive: Bool { !sink.isClosed && virConnectIsAlive(pointer) == 1 }

    /// Runs `body` on a domain that runs.
    ///
    /// - Throws: `Fault.notFound` if there is none of that name.
    func withDomain<Result>(
        _ name: String, _ action: String, _ body: (virDomainPtr) throws(Fault) -> Result
    ) throws(Fault) -> Result {
        guard let domain = virDomainLookupByName(pointer, name) else {
            if LibvirtFault.isAbsence { throw Fault(.notFound, "no machine \(name) runs", kind: .instance) }
            throw LibvirtFault.last(action)
        }
        defer { virDomainFree(domain) }
        return try body(domain)
    }
}

/// Turns libvirt's callbacks, on its event thread, into events.
final class LibvirtEventSink: Sendable {
    private let deliver: @Sendable (MachineEvent) -> Void
    private let closed = Atomic(false)

    init(deliver: @escaping @Sendable (MachineEvent) -> Void) { self.deliver = deliver }

    var isClosed: Bool { closed.load(ordering: .acquiring) }

    /// Says nothing more: the connection is being closed on purpose.
    func silence() { closed.store(true, ordering: .releasing) }

    static let release: virFreeCallback = { opaque in
        if let opaque { Unmanaged<LibvirtEventSink>.fromOpaque(opaque).release() }
    }

    private static func sink(_ opaque: UnsafeMutableRawPointer?) -> LibvirtEventSink? {
        opaque.map { Unmanaged<LibvirtEventSink>.fromOpaque($0).takeUnretainedValue() }
    }

    private static func name(_ domain: virDomainPtr?) -> String? {
        domain.flatMap { virDomainGetName($0) }.map { String(cString: $0) }
    }

    static let onLifecycle: virConnectDomainEventCallback = { _, domain, event, detail, opaque in
        guard let sink = sink(opaque), !sink.isClosed, let name = name(domain) else { return 0 }
        if let event = LibvirtStates.event(name: name, event: event, detail: detail) { sink.deliver(event) }
        return 0
    }

    static let onReboot: virConnectDomainEventGenericCallback = { _, domain, opaque in
        guard let sink = sink(opaque), !sink.isClosed, let name = name(domain) else { return }
        sink.deliver(.rebooted(name: name))
    }

    static let onDiskError: virConnectDomainEventIOErrorReasonCallback = { _, domain, _, alias, _, reason, opaque in
        guard let sink = sink(opaque), !sink.isClosed, let name = name(domain) else { return }
        let device = alias.map { String(cString: $0) } ?? ""
        sink.deliver(.diskError(name: name, device: device, reason: reason.map { String(cString: $0) } ?? ""))
    }

    static let onClose: virConnectCloseFunc = { _, _, opaque in
        guard let sink = sink(opaque) else { return }
        if !sink.closed.exchange(true, ordering: .acquiringAndReleasing) { sink.deliver(.lost) }
    }
}
