//  `karri trace ID`: one thing's story.

import ArgumentParser
import Fabric
import Model

struct TraceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace", abstract: "Tells one thing's story over all controllers, in order.")
    @OptionGroup var place: PlaceOptions
    @Argument(help: "An id as the API shows it (i-0…, vol-0…, ami-0…, eni-0…, sg-0…), 16 hex digits, or a host's name.") var id:
        String

    func run() async throws {
        let client = AdministrationClient(installation: try place.installation())
        let asked = id
        let reply = try await client.ask { stub, options in
            try await stub.trace(TraceRequest.with { $0.id = asked }, options: options)
        }
        for line in TraceCommand.shown(reply.lines) { Output.line(line) }
    }

    /// A request's id stands where it changes.
    static func shown(_ lines: [TraceLine]) -> [String] {
        var request = ""
        let rows = lines.map { line -> [String] in
            var text = line.text
            if !line.request.isEmpty, line.request != request { text += "  [\(line.request)]" }
            if !line.request.isEmpty { request = line.request }
            return [Instant(microseconds: line.at).iso8601(milliseconds: true), line.source, text]
        }
        return columns(rows)
    }
}
