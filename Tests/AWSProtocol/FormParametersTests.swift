import Model
import Testing

@testable import AWSProtocol

@Suite struct FormParametersTests {
    static let forms: [(text: String, names: [String], values: [String])] = [
        ("", [], []),
        ("Action=DescribeInstances", ["Action"], ["DescribeInstances"]),
        ("a=1&b=2", ["a", "b"], ["1", "2"]),
        // A name alone is one with an empty value, and empty pairs are nothing.
        ("a&&b=&", ["a", "b"], ["", ""]),
        // Only the first equals sign divides.
        ("a=b=c", ["a"], ["b=c"]),
        ("a=x+y%20z%2B", ["a"], ["x y z+"]),
        ("Filter%2e1=%C3%A9%0a", ["Filter.1"], ["é\n"]),
        ("=x", [""], ["x"]),
    ]

    @Test(arguments: forms)
    func decoded(text: String, names: [String], values: [String]) throws {
        let form = try FormParameters(Array(text.utf8))
        #expect(form.parameters.map(\.name) == names)
        #expect(form.parameters.map(\.value) == values)
    }

    // A cut escape, one that is not hexadecimal, half of a character, an overlong slash, a surrogate.
    @Test(arguments: ["a=%", "a=%4", "a=%zz", "%=", "a=%C3", "a=%C0%AF", "a=%ED%A0%80"])
    func malformed(text: String) {
        #expect(throws: Fault.self) { try FormParameters(Array(text.utf8)) }
    }

    @Test func limits() throws {
        var limits = FormParameters.Limits()
        limits.parameters = 2
        limits.nameBytes = 4
        #expect(try FormParameters(Array("a=1&abcd=1".utf8), limits: limits).parameters.count == 2)
        for text in ["a=1&b=1&c=1", "abcde=1"] {
            let fault = #expect(throws: Fault.self) { try FormParameters(Array(text.utf8), limits: limits) }
            #expect(fault?.code == .tooLarge)
        }
    }

    @Test func partsOfOneRequest() throws {
        var form = try FormParameters(Array("Action=A".utf8))
        try form.append(Array("Version=2016-11-15".utf8))
        let query = try Query(form, .ec2)
        #expect(query.action == "A")
        #expect(query.version == "2016-11-15")
    }

    /// Whatever the names and values are, escaping and reading gives them back.
    @Test func roundTrip() throws {
        var dice = Dice(seed: 7)
        for round in 0..<2000 {
            let parameters = (0..<Int.random(in: 0...5, using: &dice)).map { _ in
                FormParameters.Parameter(name: randomText(&dice), value: randomText(&dice))
            }
            let form = parameters.map { "\(escaped($0.name, &dice))=\(escaped($0.value, &dice))" }.joined(separator: "&")
            #expect(try FormParameters(Array(form.utf8)).parameters == parameters, "round \(round): \(form)")
        }
    }

    private func randomText(_ dice: inout Dice) -> String {
        let alphabet: [Character] = ["a", ".", "1", "&", "=", "+", "%", " ", "é", "😀", "\0", "\r\n"]
        return String((0..<Int.random(in: 0...6, using: &dice)).compactMap { _ in alphabet.randomElement(using: &dice) })
    }

    /// Escapes what must be and, by chance, what need not be.
    private func escaped(_ text: String, _ dice: inout Dice) -> String {
        text.utf8.map { byte in
            let plain = Unicode.Scalar(byte).properties.isAlphabetic && byte < 0x80 && Bool.random(using: &dice)
            let hex = hexDigits([byte])
            return plain ? String(Unicode.Scalar(byte)) : "%" + (Bool.random(using: &dice) ? hex : hex.uppercased())
        }.joined()
    }
}
