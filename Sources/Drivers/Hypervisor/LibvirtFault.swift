//  libvirt's errors as faults. libvirt keeps the last error per thread, so a fault is made on the
//  thread that made the call, at once.

import CLibvirt
import Model

enum LibvirtFault {
    /// The last error of this thread.
    ///
    /// - Parameter action: What was tried, for a person: "start i-0…".
    static func last(_ action: String) -> Fault {
        guard let error = virGetLastError() else {
            return Fault(.driver, "could not \(action)", kind: .instance, cause: "libvirt gave no error")
        }
        let message = error.pointee.message.map { String(cString: $0) } ?? "no message"
        return Fault(
            code(number: error.pointee.code, domain: error.pointee.domain), "could not \(action)", kind: .instance,
            cause: "libvirt: \(message)")
    }

    /// Whether the last error of this thread says that there is no such domain, or that it does not run.
    static var isAbsence: Bool {
        guard let error = virGetLastError() else { return false }
        return error.pointee.code == Int32(VIR_ERR_NO_DOMAIN.rawValue)
    }

    static func code(number: Int32, domain: Int32) -> Fault.Code {
        switch virErrorNumber(rawValue: UInt32(bitPattern: number)) {
        case VIR_ERR_NO_DOMAIN: return .notFound
        case VIR_ERR_DOM_EXIST: return .alreadyExists
        case VIR_ERR_OPERATION_INVALID: return .wrongState
        case VIR_ERR_OPERATION_TIMEOUT, VIR_ERR_AGENT_UNRESPONSIVE: return .timedOut
        case VIR_ERR_NO_SUPPORT, VIR_ERR_OPERATION_UNSUPPORTED, VIR_ERR_CONFIG_UNSUPPORTED: return .notSupported
        case VIR_ERR_NO_CONNECT, VIR_ERR_INVALID_CONN, VIR_ERR_AUTH_FAILED: return .unavailable
        default: break
        }
        // Whatever fails on the way to the daemon, and not in it, says so by its domain.
        switch virErrorDomain(rawValue: UInt32(bitPattern: domain)) {
        case VIR_FROM_RPC, VIR_FROM_REMOTE: return .unavailable
        default: return .driver
        }
    }
}
