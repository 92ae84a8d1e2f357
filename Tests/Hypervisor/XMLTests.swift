import Model
import Testing

@testable import Hypervisor

@Suite struct XMLTests {
    @Test(arguments: [(0, "vda"), (25, "vdz"), (26, "vdaa"), (27, "vdab"), (701, "vdzz"), (702, "vdaaa")])
    func deviceNames(_ index: Int, _ name: String) {
        #expect(DomainXML.deviceName(index) == name)
    }
}
