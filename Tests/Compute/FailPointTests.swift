//  Every step of every operation, on both engines: its worker killed before it, killed after it,
//  and the step run twice. Whatever was struck, the story ends as if nothing had been.

import CloudTesting
import Compute
import Database
import DatabaseTesting
import Model
import Operations
import Testing

@Suite struct FailPointTests {
    /// What only machines and operations have rows in.
    static let emptied = [
        "volume", "attachment", "port", "port_address", "port_group", "address", "user_data", "operation_resource",
        "operation_wait", "fence", "remnant",
    ]

    @Test(arguments: EngineName.allCases, Story.all)
    func everyStepOfTheStoryIsStruck(engine: EngineName, story: Story) async throws {
        try await TestCloud.with(engine) { cloud in
            let calm = Striker()
            try await story.tell(Teller(cloud, calm, note: "calm"))
            #expect(calm.visited.isSuperset(of: story.steps), "it leaves out \(Set(story.steps).subtracting(calm.visited))")
            for name in calm.visited.sorted() {
                let parts = name.split(separator: "/").map(String.init)
                for place in FailPoint.Place.allCases {
                    // A step that waits is come by again.
                    for visit in 1...(engine == .sqlite && place == .after ? 2 : 1) {
                        let striker = Striker(FailPoint(kind: parts[0], step: parts[1], place: place), visit: visit)
                        try await story.tell(Teller(cloud, striker, note: "\(place) \(name), visit \(visit)"))
                        #expect(striker.hasStruck || visit > 1, "\(name) was not struck")
                    }
                }
            }
            let left = try await cloud.engine.read { tx throws(Fault) in
                var left: [String] = []
                for table in FailPointTests.emptied where try tx.exists("SELECT 1 FROM \(table) LIMIT 1") { left.append(table) }
                return left
            }
            #expect(left == [], "something is left")
        }
    }

    /// No kind of operation is without a story.
    @Test func everyStepHasAStory() async throws {
        let known = try await TestCloud.with(.sqlite) { cloud in
            Set(cloud.compute.programs.flatMap { program in program.steps.map { "\(program.kind)/\($0.name)" } })
        }
        #expect(Set(Story.all.flatMap(\.steps)) == known)
    }
}
