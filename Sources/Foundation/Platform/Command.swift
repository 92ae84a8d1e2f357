//  Runs a program of the host and returns what it said. Arguments are a list, never a shell's line.

import Model
import Subprocess

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

/// Programs of the host: `ip`, `nft`, `qemu-img` and their like.
public enum Command {
    /// The standard output of a program that ended with 0.
    ///
    /// - Parameters:
    ///   - program: A name looked up in PATH, or an absolute path.
    ///   - input: What the program reads on its standard input.
    ///   - limit: The most bytes of output that are kept; more is a fault.
    /// - Throws: `Fault.driver` with the program's last words when it fails or cannot be started.
    @discardableResult
    public static func run(
        _ program: String, _ arguments: [String], input: String = "", outputLimit limit: Int = 16 << 20
    ) async throws(Fault) -> String {
        let result = try await attempt(program, arguments, input: input, outputLimit: limit)
        guard result.status == 0 else {
            let words = result.error.isEmpty ? result.output : result.error
            throw Fault(
                .driver, "\(program) \(arguments.first ?? "") failed",
                cause: "\(program) \(arguments.joined(separator: " ")): status \(result.status): \(words.suffix(2000))")
        }
        return result.output
    }

    /// Like `run`, but a program's failure is a value. `status` is the exit code, or -signal. A program
    /// that was started is waited for, by a cancelled task too.
    public static func attempt(
        _ program: String, _ arguments: [String], input: String = "", outputLimit limit: Int = 16 << 20
    ) async throws(Fault) -> (status: Int, output: String, error: String) {
        let executable: Executable = program.hasPrefix("/") ? .path(FilePath(program)) : .name(program)
        do {
            // A run that is cancelled at the wrong moment leaves a descriptor open, over which the library
            // traps. These programs end by themselves, so the run is one that cancelling does not reach.
            let record = try await shielded {
                try await Subprocess.run(
                    executable, arguments: Arguments(arguments), input: .string(input), output: .string(limit: limit),
                    error: .string(limit: 1 << 20))
            }
            let status: Int
            switch record.terminationStatus {
            case .exited(let code): status = Int(code)
            case .signaled(let signal): status = -Int(signal)
            }
            return (status, record.standardOutput, record.standardError)
        } catch {
            throw Fault(.driver, "\(program) could not be run", because: error)
        }
    }
}
