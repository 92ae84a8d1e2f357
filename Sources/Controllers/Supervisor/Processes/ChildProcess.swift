//  Starts one process as a specification says, through the C call that does all between fork and
//  exec, and reads how it ended.

import CLinux
import Model
import Platform
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// The children that any supervisor of this process started and has not yet waited for. Global, as
/// children are the process's: it tells them from adopted orphans. Held over each fork and wait.
private let ownChildren = Mutex<Set<Int32>>([])

/// A running child of this process.
struct ChildProcess {
    let pid: Int32
    /// Readable once the child has ended.
    let watch: Int32

    /// - Parameters:
    ///   - inherited: The child's descriptors from 3 on, under the variables that name them.
    ///   - controlGroups: Open `cgroup.procs` files.
    /// - Throws: `Fault.driver`, saying which step failed; there is no child then.
    init(
        _ specification: ChildSpecification, inherited: [(variable: String, descriptor: Int32)], controlGroups: [Int32]
    ) throws(Fault) {
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        let log = try ChildProcess.openLog(specification.log)
        defer { for descriptor in [null, log] where descriptor >= 0 { close(descriptor) } }
        guard null >= 0 else { throw Fault(.driver, "could not open /dev/null: \(systemError())") }

        var environment = specification.environment
        for (index, entry) in inherited.enumerated() { environment[entry.variable] = "\(index + 3)" }
        let output = log >= 0 ? log : null
        let descriptors = [null, output, output] + inherited.map(\.descriptor)
        let (pid, stage, error) = ownChildren.withLock { own in
            let result = ChildProcess.spawn(specification, environment, descriptors, controlGroups)
            if result.pid > 0 { own.insert(result.pid) }
            return result
        }
        guard pid > 0 else {
            throw Fault(.driver, "\(specification.program): could not \(stage): \(systemError(error))")
        }
        self.pid = pid
        watch = karri_process_descriptor(pid)
        guard watch >= 0 else {
            let fault = Fault(.driver, "process \(pid) cannot be watched: \(systemError())")
            kill(pid, SIGKILL)
            ownChildren.withLock { own in
                waitpid(pid, nil, 0)
                own.remove(pid)
            }
            throw fault
        }
    }

    private static func openLog(_ path: String?) throws(Fault) -> Int32 {
        guard let path else { return -1 }
        let log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o640)
        guard log >= 0 else { throw Fault(.storage, "could not open \(path): \(systemError())") }
        return log
    }

    private static func spawn(
        _ specification: ChildSpecification, _ environment: [String: String], _ descriptors: [Int32], _ controlGroups: [Int32]
    ) -> (pid: Int32, stage: String, error: Int32) {
        var limits: [karri_limit] = []
        if let files = specification.limits.openFiles {
            limits.append(karri_limit(resource: Int32(RLIMIT_NOFILE.rawValue), value: files))
        }
        if let bytes = specification.limits.coreBytes {
            limits.append(karri_limit(resource: Int32(RLIMIT_CORE.rawValue), value: bytes))
        }
        let arguments = CStrings([specification.program] + specification.arguments)
        let variables = CStrings(environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
        let folder = CStrings([specification.folder])
        let groups = specification.runAs?.supplementary ?? []
        return descriptors.withUnsafeBufferPointer { descriptors in
            controlGroups.withUnsafeBufferPointer { controlGroups in
                limits.withUnsafeBufferPointer { limits in
                    groups.withUnsafeBufferPointer { groups in
                        var request = karri_spawn_request()
                        request.program = UnsafePointer(arguments.pointers[0])
                        request.arguments = UnsafePointer(arguments.pointers)
                        request.environment = UnsafePointer(variables.pointers)
                        request.folder = UnsafePointer(folder.pointers[0])
                        request.descriptors = descriptors.baseAddress
                        request.descriptor_count = descriptors.count
                        request.control_groups = controlGroups.baseAddress
                        request.control_group_count = controlGroups.count
                        request.limits = limits.baseAddress
                        request.limit_count = limits.count
                        request.changes_user = specification.runAs == nil ? 0 : 1
                        request.uid = specification.runAs?.user ?? 0
                        request.gid = specification.runAs?.group ?? 0
                        request.groups = groups.baseAddress
                        request.group_count = groups.count
                        request.no_new_privileges = specification.runAs == nil ? 0 : 1
                        request.parent_death_signal = specification.endsWithSupervisor ? SIGTERM : 0
                        request.mask = 0o027
                        var stage: UnsafePointer<CChar>?
                        let pid = karri_spawn(&request, &stage)
                        return (pid, stage.map { String(cString: $0) } ?? "", errno)
                    }
                }
            }
        }
    }

    var identity: ProcessIdentity? { ProcessIdentity(pid: pid) }

    /// How it ended, taken from the kernel; nil while it runs.
    func takeExit() -> ChildExit? {
        var status: Int32 = 0
        let (result, error) = ownChildren.withLock { own in
            let result = waitpid(pid, &status, WNOHANG)
            let error = errno
            if result != 0 { own.remove(pid) }
            return (result, error)
        }
        guard result != 0 else { return nil }
        close(watch)
        guard result == pid else { return .unknown(systemError(error)) }
        let signal = status & 0x7f
        return signal == 0 ? .code(status >> 8 & 0xff) : .signal(signal)
    }

    /// Waits for adopted descendants that have ended. One in this process's own session was started
    /// by other code here, which waits for it itself; supervisors' children get sessions.
    static func reapOrphans() {
        ownChildren.withLock { own in
            for _ in 0..<1000 {
                let pid = karri_ended_child()
                guard pid > 0, !own.contains(pid), let session = ProcessIdentity.statistics(of: pid)?.session, session != getsid(0)
                else { return }
                waitpid(pid, nil, WNOHANG)
            }
        }
    }
}

/// Strings as C wants them: an array of pointers that ends with a null, freed with the object.
private final class CStrings {
    let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    init(_ strings: [String]) {
        count = strings.count
        pointers = .allocate(capacity: count + 1)
        pointers.initialize(repeating: nil, count: count + 1)
        for (index, string) in strings.enumerated() { pointers[index] = strdup(string) }
    }

    deinit {
        for index in 0..<count { free(pointers[index]) }
        pointers.deallocate()
    }
}
