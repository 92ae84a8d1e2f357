import Glibc
import Model
import Testing

@testable import Edge

/// Two connected Unix sockets.
func socketPair() throws -> (CInt, CInt) {
    var ends: [CInt] = [-1, -1]
    try #require(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0)
    return (ends[0], ends[1])
}

@Suite struct EdgeWireTests {
    @Test func carriesDescriptorsWithTheirFrame() throws {
        let (left, right) = try socketPair()
        let sender = EdgeWire(socket: left)
        let receiver = EdgeWire(socket: right)
        var pipe: [CInt] = [-1, -1]
        try #require(Glibc.pipe(&pipe) == 0)
        defer { for descriptor in pipe { close(descriptor) } }
        try sender.send(EdgeRequest.remove(domain: "first"))
        try sender.send(EdgeRequest.remove(domain: "second"), descriptors: pipe)
        try sender.send(EdgeRequest.health)
        let first = try #require(try receiver.receive(EdgeRequest.self))
        #expect(first.descriptors.isEmpty)
        let second = try #require(try receiver.receive(EdgeRequest.self))
        #expect(second.descriptors.count == 2)
        guard case .remove("second") = second.message else {
            Issue.record("out of step: \(second.message)")
            return
        }
        #expect(write(second.descriptors[1], "x", 1) == 1)
        var byte: UInt8 = 0
        #expect(read(pipe[0], &byte, 1) == 1 && byte == UInt8(ascii: "x"))
        for descriptor in second.descriptors { close(descriptor) }
        #expect(try #require(try receiver.receive(EdgeRequest.self)).descriptors.isEmpty)
        sender.end()
        #expect(try receiver.receive(EdgeRequest.self) == nil)
    }

    @Test(
        arguments: [
            ([0, 0, 0, 2, 0, 0, 0, 0, 0x7b], "broke off in the body"),
            ([0, 0, 0], "broke off in the header"),
            ([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], "longer than any frame"),
            ([0, 0, 0, 2, 0, 0, 0, 1, 0x7b, 0x7d], "a descriptor is missing"),
            ([0, 0, 0, 2, 0, 0, 0, 0, 0x7b, 0x7d], "no message"),
        ] as [([UInt8], String)])
    func refusesBrokenFrames(bytes: [UInt8], why: String) throws {
        let (left, right) = try socketPair()
        let receiver = EdgeWire(socket: right)
        #expect(write(left, bytes, bytes.count) == bytes.count)
        close(left)
        #expect(throws: Fault.self) { try receiver.receive(EdgeRequest.self) }
    }
}
