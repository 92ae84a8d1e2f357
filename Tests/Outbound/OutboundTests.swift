//  Which addresses may be called.

import Model
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing

@testable import Outbound

@Suite struct OutboundTests {
    private static func bytes(_ text: String) -> [UInt8] {
        guard let address = try? SocketAddress(ipAddress: text, port: 0) else { return [] }
        switch address {
        case .v4(let address): return withUnsafeBytes(of: address.address.sin_addr) { Array($0) }
        case .v6(let address): return withUnsafeBytes(of: address.address.sin6_addr) { Array($0) }
        case .unixDomainSocket: return []
        }
    }

    private let guardian = OutboundGuard(
        own: [bytes("203.0.113.7"), bytes("2001:db8::7")], underlay: [IPv4Prefix("10.20.0.0/16")!])

    @Test(arguments: [
        "0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.0.1", "169.254.169.254", "198.18.0.1", "224.0.0.1", "255.255.255.255",
        "203.0.113.7", "10.20.3.4", "::", "::1", "fe80::1", "febf::1", "ff02::1", "2001:db8::7", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "::ffff:203.0.113.7", "::ffff:10.20.3.4", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a14:304",
        "2002:7f00:1::1", "2002:a14:304::",
    ])
    func refused(address: String) { #expect(!guardian.allows(OutboundTests.bytes(address))) }

    @Test(arguments: [
        "203.0.113.8", "10.21.0.1", "192.168.1.1", "126.255.255.255", "128.0.0.1", "223.255.255.255", "2001:db8::8", "fec0::1",
        "::ffff:203.0.113.8", "64:ff9b::cb00:7108", "2002:cb00:7108::1",
    ])
    func allowed(address: String) { #expect(guardian.allows(OutboundTests.bytes(address))) }

    @Test func whatIsNoAddressIsNotDialled() {
        #expect(!guardian.allows([]))
        #expect(!guardian.allows([1, 2, 3]))
    }

    @Test(arguments: [
        ("http://example.com", "example.com", 80, "/"), ("https://example.com/a/b?c=%20", "example.com", 443, "/a/b?c=%20"),
        ("http://[2001:db8::1]:8080/x", "2001:db8::1", 8080, "/x"), ("HTTP://127.0.0.1:99", "127.0.0.1", 99, "/"),
    ])
    func addresses(text: String, host: String, port: Int, target: String) {
        let address = OutboundAddress(text)
        #expect(address?.host == host && address?.port == port && address?.target == target)
    }

    @Test(arguments: [
        "", "example.com", "ftp://example.com", "http://", "http://u:p@example.com/", "http://a b/", "http://x:0/",
        "http://x:99999/",
    ])
    func noAddresses(text: String) { #expect(OutboundAddress(text) == nil) }

    @Test func thisHostIsNotCalled() async throws {
        let address = try #require(OutboundAddress("http://127.0.0.1:9/"))
        let refused = await #expect(throws: Fault.self) {
            try await OutboundClient().post([], contentType: "text/plain", to: address)
        }
        #expect(refused?.code == .denied)
        // An operator may say otherwise; nobody listens there.
        let unheard = await #expect(throws: Fault.self) {
            try await OutboundClient().post([], contentType: "text/plain", to: address, exceptions: ["127.0.0.1"])
        }
        #expect(unheard?.code == .unavailable)
    }
}
