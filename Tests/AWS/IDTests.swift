//  Ids as AWS spells them.

import Model
import Store
import Testing

@testable import AWS

@Suite struct IDTests {
    @Test func everyKindReadsBackWhatItShows() throws {
        let bits: [UInt64] = [0, 1, 0x0123_4567_89ab_cdef, .max, 1 << 63]
        for bits in bits {
            #expect(try AWSID.parse(ID<Instance>(bits: bits).shown, Instance.self).bits == bits)
            #expect(try AWSID.parse(ID<Volume>(bits: bits).shown, Volume.self).bits == bits)
            #expect(try AWSID.parse(ID<Router>(bits: bits).shown, Router.self).bits == bits)
            for kind in [Kind.instance, .image, .volume, .keyPair, .router, .subnet, .port, .group, .rule] {
                let id = AnyID(kind: kind, bits: bits)
                #expect(try AWSID.parse(resource: AWSID.shown(id)) == id)
            }
            for purpose in [Image.Purpose.machine, .kernel, .ramdisk] {
                #expect(try AWSID.parse(AWSID.shown(ID<Image>(bits: bits), purpose), Image.self).bits == bits)
            }
        }
        #expect(ID<Instance>(bits: 0xabc).shown == "i-00000000000000abc")
        #expect(AWSID.shown(ID<Reservation>(bits: 0xabc)) == "r-00000000000000abc")
    }

    @Test(arguments: [
        // Well formed and not ours: AWS's old form, and a first digit that no id of ours has.
        ("i-1234abcd", Fault.Code.notFound), ("i-10123456789abcdef", .notFound),
        ("", .malformedId), ("i", .malformedId), ("i-", .malformedId), ("i-0", .malformedId),
        ("i-0123456789abcdef", .malformedId), ("i-00123456789abcdef0", .malformedId),
        // AWS's digits are small.
        ("i-00123456789ABCDEF", .malformedId), ("I-00123456789abcdef", .malformedId),
        ("vol-00123456789abcdef", .malformedId), ("i-0012345678 abcdef", .malformedId), ("i-+0123456789abcde", .malformedId),
        // Digits of another script are no digits.
        ("i-٠٠١٢٣٤٥٦٧", .malformedId),
    ])
    func oddIds(_ text: String, _ code: Fault.Code) {
        let fault = #expect(throws: Fault.self) { try AWSID.parse(text, Instance.self) }
        #expect(fault?.code == code)
        #expect(fault?.kind == .instance)
    }

    @Test func aListNamesAllThatAreNotThere() {
        let fault = #expect(throws: Fault.self) {
            try AWSID.parse(all: ["i-1234abcd", "i-00123456789abcdef", "i-12345678"], Instance.self)
        }
        #expect(fault?.message == "The instance IDs 'i-1234abcd, i-12345678' do not exist")
    }

    @Test func idsSortAsTheStoreSortsThem() {
        let ids = [ID<Instance>(bits: 1 << 63), ID(bits: .max), ID(bits: 0), ID(bits: 1), ID(bits: .max >> 1)]
        #expect(ids.sorted().map(\.place) == ids.map(\.place).sorted())
    }

    @Test func noise() {
        var dice = Dice(seed: 7)
        let valid = Array("i-00123456789abcdef".utf8)
        for _ in 0..<5000 {
            var bytes = valid
            for _ in 0..<Int.random(in: 1...3, using: &dice) {
                let place = Int.random(in: 0..<bytes.count, using: &dice)
                bytes[place] = UInt8.random(in: 0...255, using: &dice)
            }
            let text = String(decoding: bytes, as: UTF8.self)
            if let id = try? AWSID.parse(text, Instance.self) { #expect(id.shown == text) }
            _ = try? AWSID.parse(resource: text)
        }
    }
}
