//  `karri console ID`: the machine's serial console in this terminal, until ctrl-].

import ArgumentParser
import CLinux
import Hypervisor
import Model
import Platform

#if canImport(Glibc)
    import Glibc
#endif

struct ConsoleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "console", abstract: "Opens a machine's serial console; ctrl-] leaves it.")
    @OptionGroup var place: PlaceOptions
    @Argument(help: "A machine's id, i-0…") var id: String

    func run() async throws {
        try requireRoot("console \(id)")
        let installation = try place.installation()
        guard case .exactly(let thing)? = TraceStory.Name(id), let instance = thing.typed(Instance.self) else {
            throw Fault(.malformedId, "\(id) is not a machine's id")
        }
        let path = try ConsoleCommand.socket(of: instance, installation)
        let socket = try UnixStream.dial(path)
        defer { close(socket) }
        Output.remark("connected to \(id): press Enter for a prompt, ctrl-] to leave")
        try await Exchange().run(socket)
        Output.line("")
    }

    /// The console's socket on this host.
    static func socket(of instance: ID<Instance>, _ installation: Installation) throws(Fault) -> String {
        let guests = GuestFolder.all(of: installation)
        guard let name = Folder.readableNames(in: guests).first(where: { $0.hasSuffix(instance.hex) }) else {
            throw Fault(.notFound, "no such machine runs on this host: karri trace i-0\(instance.hex) says where it is")
        }
        let path = try GuestFolder(installation: installation, name: name).sockets.console
        guard exists(path) else { throw Fault(.wrongState, "the machine does not run: karri trace i-0\(instance.hex)") }
        return path
    }

    /// Carries bytes both ways on a thread of its own: the terminal's reads block.
    private actor Exchange {
        private let executor = BlockingExecutor(name: "karri.console")
        nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

        static let leaving: UInt8 = 0x1d

        func run(_ socket: Int32) throws(Fault) {
            var before = termios()
            let isTerminal = tcgetattr(STDIN_FILENO, &before) == 0
            if isTerminal {
                var raw = before
                cfmakeraw(&raw)
                tcsetattr(STDIN_FILENO, TCSANOW, &raw)
            }
            defer { if isTerminal { tcsetattr(STDIN_FILENO, TCSANOW, &before) } }
            var sources = [
                pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0), pollfd(fd: socket, events: Int16(POLLIN), revents: 0),
            ]
            var buffer = [UInt8](repeating: 0, count: 4096)
            while true {
                guard poll(&sources, nfds_t(sources.count), -1) > 0 else {
                    if errno == EINTR { continue }
                    throw Fault(.driver, "the console cannot be waited for: \(systemError())")
                }
                if sources[1].revents != 0 {
                    let count = read(socket, &buffer, buffer.count)
                    guard count > 0 else { return }
                    Output.write(Array(buffer.prefix(count)), to: STDOUT_FILENO)
                }
                if sources[0].revents != 0 {
                    let count = read(STDIN_FILENO, &buffer, buffer.count)
                    guard count > 0 else { return }
                    let typed = buffer.prefix(count)
                    Output.write(Array(typed.prefix { $0 != Exchange.leaving }), to: socket)
                    if typed.contains(Exchange.leaving) { return }
                }
            }
        }
    }
}

/// A connection to a Unix socket by path.
enum UnixStream {
    static func dial(_ path: String) throws(Fault) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw Fault(.invalidParameter, "the path of a socket is too long: \(path)")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw Fault(.driver, "no socket: \(systemError())") }
        let dialed = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard dialed == 0 else {
            let fault = Fault(.unavailable, "could not connect to \(path): \(systemError())")
            close(descriptor)
            throw fault
        }
        return descriptor
    }
}
