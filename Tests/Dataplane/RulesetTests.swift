import Model
import Testing

@testable import Dataplane

@Suite struct RulesetTests {
    @Test func equalTablesNeedNothing() {
        var table = Ruleset(family: "inet", name: "t")
        table.chains["c"] = .init(rules: ["drop"])
        #expect(table.difference(from: table).isEmpty)
    }
}
