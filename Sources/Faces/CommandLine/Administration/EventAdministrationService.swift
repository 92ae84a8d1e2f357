//  The operator's side of the cloud's feed of events.

import Fabric
import GRPCCore
import Model
import Objects

struct EventAdministrationService: EventAdministration.SimpleServiceProtocol {
    let feed: EventFeed

    /// How many events are read at once.
    private static let page = 500
    /// How often a feed that is followed is looked at.
    private static let interval = Duration.milliseconds(200)

    func readEvents(
        request: ReadEventsRequest, response: RPCWriter<Fabric.FeedEvent>, context: ServerContext
    ) async throws {
        var number = request.after
        let bucket = request.bucket.isEmpty ? nil : request.bucket
        while true {
            let (after, limit) = (number, EventAdministrationService.page)
            let events = try await administered { () async throws(Fault) in
                try await feed.events(after: after, of: bucket, limit: limit)
            }
            for event in events {
                try await response.write(
                    Fabric.FeedEvent.with {
                        $0.number = event.number
                        $0.body = event.body
                    })
                number = event.number
            }
            if events.count == limit { continue }
            guard request.follow else { return }
            try await Task.sleep(for: EventAdministrationService.interval)
        }
    }
}
