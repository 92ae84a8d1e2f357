//  `karri events`: what has happened to objects of the buckets whose owners have it told in the cloud's feed.

import ArgumentParser
import Fabric
import FoundationEssentials
import Model
import Objects

struct EventsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "events", abstract: "Shows the cloud's feed of events.",
        discussion: """
            The owner of a bucket turns it on: aws s3api put-bucket-notification-configuration --bucket BUCKET \
            --notification-configuration '{"EventBridgeConfiguration": {}}'. The newest \(EventFeed.eventsMax) events stay.
            """)

    @OptionGroup var place: PlaceOptions
    @Option(help: ArgumentHelp("Only those after an event's number.", valueName: "number")) var after: Int64 = 0
    @Option(help: "Only those of a bucket.") var bucket: String?
    @Flag(name: [.short, .long], help: "Goes on showing.") var follow = false
    @Flag(help: "Whole events, each in a line of JSON.") var json = false

    func validate() throws {
        if after < 0 { throw ValidationError("Events' numbers are positive.") }
    }

    func run() async throws {
        let request = ReadEventsRequest.with {
            $0.after = after
            $0.bucket = bucket ?? ""
            $0.follow = follow
        }
        let json = json
        try await AdministrationClient(installation: try place.installation()).readEvents(request) { number, body in
            Output.line(json ? EventsCommand.numbered(body, number) : try EventsCommand.line(body, number))
        }
    }

    /// The event with its number in it.
    static func numbered(_ body: String, _ number: Int64) -> String { "{\"number\":\(number),\(body.dropFirst())" }

    private struct Shown: Decodable {
        struct Detail: Decodable {
            struct Bucket: Decodable { var name: String }
            struct Object: Decodable { var key: String }
            var bucket: Bucket
            var object: Object
            var reason: String?
        }
        var time: String
        var type: String
        var detail: Detail

        enum CodingKeys: String, CodingKey {
            case time, detail
            case type = "detail-type"
        }
    }

    /// `12 2026-11-22T10:00:00Z Object Created (PutObject) bucket/key`
    static func line(_ body: String, _ number: Int64) throws -> String {
        let event = try JSONDecoder().decode(Shown.self, from: Data(body.utf8))
        let reason = event.detail.reason.map { " (\($0))" } ?? ""
        let key = Output.plain(event.detail.object.key)
        return "\(number) \(event.time) \(event.type)\(reason) \(event.detail.bucket.name)/\(key)"
    }
}
