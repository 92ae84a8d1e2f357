//  An object store with no cloud around it, which a benchmark starts as it starts a peer.

import FoundationEssentials
import Model
import Platform

/// A store that runs alone, and what asks it.
struct LoneStore: Sendable {
    let target: ObjectTarget
    let process: PeerProcess

    /// Starts the program's own store in a folder, and waits until it answers.
    static func start(_ program: String, root: String, port: Int) async throws(Fault) -> LoneStore {
        try Folder.make(root)
        let process = try PeerProcess(
            [program, "start", "--role", "objects", "--root", root, "--port", String(port)], log: root + "/log")
        do throws(Fault) {
            var target = ObjectTarget(
                name: "karri", port: port, credentials: nil, processes: Processes([process.id]), isDurable: true)
            let end = ContinuousClock.now + .seconds(600)
            while true {
                do throws(Fault) {
                    target.credentials = try credentials(root)
                    try await ObjectClient(target, body: []).make(.list, "/")
                    return LoneStore(target: target, process: process)
                } catch { guard ContinuousClock.now < end else { throw error } }
                do { try await Task.sleep(for: .milliseconds(200)) } catch {
                    throw Fault(.cancelled, "The benchmark was cancelled.")
                }
            }
        } catch {
            process.end()
            throw error
        }
    }

    private struct Users: Decodable {
        struct User: Decodable {
            var accessKey: String
            var secretKey: String
        }
        var users: [User]
    }

    private static func credentials(_ root: String) throws(Fault) -> BenchCredentials {
        let path = Installation(root: root).configuration + "/users.json"
        guard let bytes = try AtomicFile.read(path, limit: 1 << 20),
            let user = (try? JSONDecoder().decode(Users.self, from: Data(bytes)))?.users.first
        else { throw Fault(.notFound, "there are no users at \(path)") }
        return BenchCredentials(name: "bench", account: "bench", accessKey: user.accessKey, secretKey: user.secretKey)
    }
}
