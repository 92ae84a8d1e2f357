import Model
import Testing

@Suite struct InternetAddressTests {
    @Test(arguments: ["0.0.0.0", "10.0.0.1", "255.255.255.255"])
    func roundTrip(text: String) { #expect(IPv4Address(text)?.description == text) }

    @Test(arguments: ["", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "1..2.3", " 1.2.3.4", "1.2.3.+4", "1.2.3.4\n", "١.2.3.4"])
    func refused(text: String) { #expect(IPv4Address(text) == nil) }

    @Test func prefixes() throws {
        let prefix = try #require(IPv4Prefix("10.1.0.0/16"))
        #expect(prefix.last.description == "10.1.255.255")
        #expect(prefix.size == 65536)
        #expect(prefix.overlaps(try #require(IPv4Prefix("10.0.0.0/8"))))
        #expect(!prefix.overlaps(try #require(IPv4Prefix("10.2.0.0/16"))))
        #expect(IPv4Prefix("10.1.0.1/16") == nil)
        #expect(IPv4Prefix("10.1.0.1/16", lenient: true) == prefix)
        #expect(IPv4Prefix("10.1.0.0/33") == nil)
        #expect(IPv4Prefix.everything.contains(IPv4Address(255, 255, 255, 255)))
    }

    @Test func ethernet() {
        #expect(MACAddress("02:00:00:00:00:0a")?.description == "02:00:00:00:00:0a")
        #expect(MACAddress("2:0:0:0:0:a") == nil)
        #expect(MACAddress(local: .max).description == "02:ff:ff:ff:ff:ff")
    }

    @Test func idsAreSixteenHexDigits() {
        #expect(hexDigits(0xab) == "00000000000000ab")
        #expect(hexDigits([0, 255, 16]) == "00ff10")
        #expect(bytes(hexDigits: hexDigits(0...255)) == Array(0...255))
        #expect(bytes(hexDigits: "aBcDEf") == [0xab, 0xcd, 0xef])
        for odd in ["a", "0g", "+1", "0x", "٠٠", "@0"] { #expect(bytes(hexDigits: odd) == nil) }
    }
}
