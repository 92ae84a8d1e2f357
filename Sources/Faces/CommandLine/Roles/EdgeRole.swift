//  The process *edge*: answers guests' DHCP, DNS and metadata on sockets that node hands it. It is
//  the one process that reads what guests send, and owns nothing.

import ArgumentParser
import Edge
import Model
import Platform
import Supervisor

struct EdgeRole: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edge", abstract: "DHCP, DNS and metadata for machines.", shouldDisplay: false)
    @OptionGroup var place: PlaceOptions

    func run() async throws {
        let path = try place.installation().edgeSocket
        let log = Log.start("edge")
        try await Termination.during {
            let server = EdgeServer(chance: .system, log: log)
            Inheritance.announceReady()
            try await server.run(dialing: path)
            await server.shutdown()
        }
    }
}
