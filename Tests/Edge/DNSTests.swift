import Model
import Testing

@testable import Edge

@Suite struct DNSNameTests {
    @Test(
        arguments: [
            ([3, 119, 119, 119, 0], 0, "www", 5),
            ([0], 0, "", 1),
            ([1, 97, 0, 1, 98, 0xc0, 0], 3, "b.a", 7),  // a pointer back
            ([1, 97, 0xc0, 0], 2, "", -1),  // points back into itself: forever
            ([0xc0, 0], 0, "", -1),  // points at itself
            ([0xc0, 2, 0], 0, "", -1),  // points forward
            ([1, 97, 0xc0], 0, "", -1),  // half a pointer
            ([5, 97, 0], 0, "", -1),  // a label over the end
            ([0x40, 97, 0], 0, "", -1),  // a reserved kind of label
            ([], 0, "", -1),
            ([3, 65, 46, 0x20, 0], 0, "a\\046\\032", 5),  // odd bytes are shown so that names stay apart
        ] as [([UInt8], Int, String, Int)])
    func reads(bytes: [UInt8], start: Int, text: String, end: Int) {
        var position = start
        let name = DNSName(reading: bytes, at: &position)
        if end < 0 {
            #expect(name == nil)
        } else {
            #expect(name?.text == text)
            #expect(position == end)
        }
    }

    @Test func endsAtTheLengthOfAName() {
        let label = [UInt8(63)] + [UInt8](repeating: 97, count: 63)
        var position = 0
        #expect(DNSName(reading: label + label + label + [61] + [UInt8](repeating: 97, count: 61) + [0], at: &position) != nil)
        position = 0
        #expect(DNSName(reading: label + label + label + label + [0], at: &position) == nil)
        #expect(DNSName(String(repeating: "a", count: 64)) == nil)
        #expect(DNSName("a..b") == nil)
        #expect(DNSName("A.b.") == DNSName("a.B"))
    }
}

@Suite struct DNSResponderTests {
    private let table = DomainTable(
        Fixture.domain(records: [EdgeRecord(name: "DB.example.net", address: IPv4Address(10, 0, 0, 9))]))
    private let settings: EdgeSettings = {
        var settings = Fixture.settings
        settings.resolvers = [EdgeResolver(IPv4Address(192, 0, 2, 53))]
        return settings
    }()

    enum Expected: Sendable, Equatable {
        case address(String)
        case pointer(String)
        case empty, noSuchName, refused, forward
    }

    @Test(
        arguments: [
            ("ip-10-0-0-5.ec2.internal", .a, .address("10.0.0.5")),
            ("IP-10-0-0-5.EC2.Internal", .a, .address("10.0.0.5")),
            ("ip-10-0-0-5.ec2.internal", .aaaa, .empty),  // it exists, without that type
            ("ip-10-0-0-200.ec2.internal", .a, .address("10.0.0.200")),  // a guest of another host
            ("ip-10-9-0-5.ec2.internal", .a, .noSuchName),  // no subnet of this domain
            ("ip-10-0-0-05.ec2.internal", .a, .noSuchName),
            ("ip-10-0-0-5.eu-west-1.compute.internal", .a, .noSuchName),  // another region's
            ("i-0a.ec2.internal", .a, .address("10.0.0.5")),
            ("ec2.internal", .soa, .empty),
            ("db.example.net", .a, .address("10.0.0.9")),
            ("instance-data.ec2.internal", .a, .address("169.254.169.254")),
            ("instance-data", .a, .address("169.254.169.254")),
            ("localhost", .a, .address("127.0.0.1")),
            ("5.0.0.10.in-addr.arpa", .ptr, .pointer("ip-10-0-0-5.ec2.internal")),
            ("77.0.0.10.in-addr.arpa", .ptr, .pointer("ip-10-0-0-77.ec2.internal")),
            ("254.169.254.169.in-addr.arpa", .ptr, .pointer("instance-data.ec2.internal")),
            ("5.0.9.10.in-addr.arpa", .ptr, .noSuchName),  // private and not ours: stays here
            ("1.1.168.192.in-addr.arpa", .ptr, .noSuchName),
            ("168.192.in-addr.arpa", .ns, .noSuchName),
            ("10.in-addr.arpa", .ns, .noSuchName),
            ("1.20.172.in-addr.arpa", .ptr, .noSuchName),
            ("1.1.33.172.in-addr.arpa", .ptr, .forward),  // 172.33 is public
            ("8.8.8.8.in-addr.arpa", .ptr, .forward),
            ("printer.local", .a, .noSuchName),
            ("example.invalid", .a, .noSuchName),
            ("host", .a, .noSuchName),  // single labels stay here
            ("com", .ns, .forward),
            ("www.example.com", .a, .forward),
            ("notec2.internal", .a, .forward),
            ("www.example.com", .axfr, .refused),
        ] as [(String, DNSType, Expected)])
    func decides(name: String, type: DNSType, expected: Expected) throws {
        let query = DNSQuery(id: 1, question: DNSQuestion(name: try #require(DNSName(name)), type: type))
        let decision = DNSResponder.decide(query, in: table, settings: settings)
        #expect(outcome(decision) == expected)
        guard case .answer(let answer) = decision else { return }
        let bytes = answer.serialized(for: query, limit: 512)
        #expect(DNSForwardedAnswer.accept(bytes, forwardedId: 1, query: query) != nil)
        if expected == .noSuchName, name.contains(".") { #expect(!answer.authority.isEmpty, "nothing to remember it by") }
    }

    private func outcome(_ decision: DNSDecision) -> Expected? {
        guard case .answer(let answer) = decision else { return .forward }
        switch (answer.code, answer.answers.first?.content) {
        case (.noError, .address(let address)): return .address(address.description)
        case (.noError, .pointer(let name)): return .pointer(name.text)
        case (.noError, nil): return .empty
        case (.noSuchName, _): return .noSuchName
        case (.refused, _): return .refused
        default: return nil
        }
    }

    @Test func otherRegionsHaveLongerNames() throws {
        var settings = settings
        settings.region = "eu-west-1"
        let name = try #require(DNSName("ip-10-0-0-200.eu-west-1.compute.internal"))
        let decision = DNSResponder.decide(
            DNSQuery(id: 1, question: DNSQuestion(name: name, type: .a)), in: table, settings: settings)
        #expect(outcome(decision) == .address("10.0.0.200"))
    }

    @Test func refusesAtOnceWithoutResolvers() throws {
        let query = DNSQuery(id: 1, question: DNSQuestion(name: try #require(DNSName("www.example.com")), type: .a))
        #expect(DNSResponder.decide(query, in: table, settings: Fixture.settings) == .answer(DNSAnswer(.refused)))
    }
}

@Suite struct DNSMessageTests {
    static let plain: [UInt8] = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 97, 2, 98, 99, 0, 0, 1, 0, 1]
    static let withOpt: [UInt8] =
        [0x12, 0x34, 1, 0x20, 0, 1, 0, 0, 0, 0, 0, 1, 1, 97, 2, 98, 99, 0, 0, 28, 0, 1] + [0, 0, 41, 0x10, 0, 0, 0, 0x80, 0, 0, 0]

    @Test func readsQueries() throws {
        let query = try #require(DNSQuery(parsing: DNSMessageTests.withOpt))
        #expect(query.id == 0x1234)
        #expect(query.question?.name.text == "a.bc")
        #expect(query.question?.type == .aaaa)
        #expect(query.ednsExtension == DNSExtension(payloadMax: 4096, version: 0, dnssec: true))
        #expect(query.recursionDesired && query.authenticData)
        #expect(try #require(DNSQuery(parsing: DNSMessageTests.plain)).datagramMax == 512)
        #expect(query.datagramMax == 1232)
    }

    @Test(
        arguments: [
            (0..<6, [] as [UInt8], false),  // shorter than a header: silence
            (2..<3, [0x81], false),  // an answer: silence
            (4..<6, [0, 2], true),  // two questions: format error
            (6..<8, [0, 1], true),
            (2..<3, [0x29], true),  // another operation
            (11..<12, [9], true),  // more records than anybody needs
        ] as [(Range<Int>, [UInt8], Bool)])
    func answersBadOnesWithAnError(place: Range<Int>, bytes: [UInt8], answered: Bool) {
        var message = DNSMessageTests.plain
        if bytes.isEmpty { message = Array(message[place]) } else { message.replaceSubrange(place, with: bytes) }
        let query = DNSQuery(parsing: message)
        #expect((query != nil) == answered)
        #expect(query?.question == nil)
    }

    @Test func badVersionsAreToldSo() throws {
        var message = DNSMessageTests.withOpt
        message[28] = 1
        let query = try #require(DNSQuery(parsing: message))
        let decision = DNSResponder.decide(query, in: DomainTable(Fixture.domain()), settings: Fixture.settings)
        guard case .answer(let answer) = decision else {
            Issue.record("forwarded")
            return
        }
        let bytes = answer.serialized(for: query, limit: 512)
        #expect(answer.code == .badVersion)
        #expect(bytes[3] & 15 == 0)
        #expect(bytes[bytes.count - 6] == 1, "the upper bits of the code are in the extension")
    }

    @Test func forwardsOnlyTheQuestion() throws {
        let query = try #require(DNSQuery(parsing: DNSMessageTests.withOpt))
        let bytes = query.forwarded(id: 0xbeef)
        let again = try #require(DNSQuery(parsing: bytes))
        #expect(again.id == 0xbeef)
        #expect(again.question == query.question)
        #expect(again.ednsExtension == DNSExtension(payloadMax: 1232, version: 0, dnssec: true))
        #expect(
            try #require(DNSQuery(parsing: DNSMessageTests.plain)).forwarded(id: 1).suffix(10) == DNSMessageTests.plain.suffix(10))
    }

    @Test func takesOnlyTheAnswerToItsQuestion() throws {
        let query = try #require(DNSQuery(parsing: DNSMessageTests.plain))
        var answer = query.forwarded(id: 7)
        answer[2] = 0x81
        #expect(DNSForwardedAnswer.accept(answer, forwardedId: 7, query: query)?.prefix(2) == [0x12, 0x34])
        #expect(DNSForwardedAnswer.accept(answer, forwardedId: 8, query: query) == nil)
        var upper = answer
        upper[13] = 65
        #expect(DNSForwardedAnswer.accept(upper, forwardedId: 7, query: query) != nil, "case does not matter")
        upper[13] = 66
        #expect(DNSForwardedAnswer.accept(upper, forwardedId: 7, query: query) == nil, "another name")
        let failure: [UInt8] = [0, 7, 0x81, 0x82, 0, 0, 0, 0, 0, 0, 0, 0]
        #expect(DNSForwardedAnswer.accept(failure, forwardedId: 7, query: query) != nil)
        #expect(DNSForwardedAnswer.accept(query.forwarded(id: 7), forwardedId: 7, query: query) == nil, "not an answer")
    }

    @Test func cutsWhatIsTooLong() throws {
        let query = try #require(DNSQuery(parsing: DNSMessageTests.plain))
        let name = try #require(query.question?.name)
        let answers = (0..<40).map { DNSRecord(name: name, content: .address(IPv4Address(10, 0, 0, $0))) }
        let cut = DNSAnswer(.noError, answers: answers).serialized(for: query, limit: 512)
        #expect(cut.count <= 512 && DNSForwardedAnswer.isTruncated(cut) && cut[7] == 0)
        let whole = DNSAnswer(.noError, answers: answers).serialized(for: query, limit: 65535)
        #expect(!DNSForwardedAnswer.isTruncated(whole) && whole[7] == 40)
    }

    @Test func survivesMutations() {
        var mutator = Mutator(seed: 20_260_002)
        let table = DomainTable(Fixture.domain())
        let reverse = DNSQuery(id: 9, question: DNSQuestion(name: DNSName("5.0.0.10.in-addr.arpa") ?? .root, type: .ptr)).forwarded(
            id: 9)
        var answered = 0
        for round in 0..<30_000 {
            let bytes = mutator.mutate([DNSMessageTests.plain, DNSMessageTests.withOpt, reverse][round % 3])
            guard let query = DNSQuery(parsing: bytes) else { continue }
            _ = DNSForwardedAnswer.accept(bytes, forwardedId: query.id, query: query)
            guard case .answer(let answer) = DNSResponder.decide(query, in: table, settings: Fixture.settings) else { continue }
            answered += 1
            let message = answer.serialized(for: query, limit: query.datagramMax)
            guard message.count <= query.datagramMax, message.starts(with: bytes.prefix(2)) else {
                Issue.record("seed 20260002, round \(round): \(message)")
                return
            }
        }
        #expect(answered > 10_000)
    }
}
