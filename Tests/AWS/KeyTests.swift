//  Keys that callers give, by noise.

import Model
import Testing

@testable import AWS

@Suite struct KeyTests {
    @Test func noise() throws {
        let made = NewKey.ed25519(comment: "c", check: 7)
        let good = Array(made.publicKey.utf8)
        #expect(try PublicKey(reading: good).line(comment: "c") == made.publicKey)
        #expect(try PublicKey(reading: good).importFingerprint == made.fingerprint)
        let wrapped = Array(
            "---- BEGIN SSH2 PUBLIC KEY ----\nComment: x\\\n y\n\(made.publicKey.split(separator: " ")[1])\n---- END SSH2 PUBLIC KEY ----\n"
                .utf8)
        #expect(try PublicKey(reading: wrapped).line(comment: "c") == made.publicKey)
        var dice = Dice(seed: 3)
        for original in [good, wrapped] {
            for _ in 0..<1500 {
                var bytes = original
                for _ in 0..<Int.random(in: 1...4, using: &dice) {
                    let place = Int.random(in: 0..<bytes.count, using: &dice)
                    switch Int.random(in: 0..<3, using: &dice) {
                    case 0: bytes[place] = UInt8.random(in: 0...255, using: &dice)
                    case 1: bytes.remove(at: place)
                    default: bytes.insert(UInt8.random(in: 32...126, using: &dice), at: place)
                    }
                }
                // Whatever is taken is written back as a key of the same kind.
                if let key = try? PublicKey(reading: bytes) {
                    #expect(try PublicKey(reading: Array(key.line(comment: "").utf8)) == key)
                }
            }
        }
    }
}
