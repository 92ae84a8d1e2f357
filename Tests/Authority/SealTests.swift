import Authority
import Model
import Testing

/// Chance that repeats itself, from a seed.
func seededChance(_ seed: UInt64) -> Chance {
    let dice = SharedDice(seed)
    let now: @Sendable () -> Instant = { Instant(seconds: 1_440_938_160) }
    let bits: @Sendable () -> UInt64 = { dice.next() }
    return Chance(now: now, bits: bits)
}

@Suite struct SealTests {
    let chance = Chance.system

    @Test func opensWhatItSealed() throws {
        let seal = Seal(generatedFrom: chance)
        for count in [0, 1, 40, 100_000] {
            let secret = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
            let blob = try seal.seal(secret, belonging: "accessKey/AKIA", chance: chance)
            #expect(try seal.open(blob, belonging: "accessKey/AKIA") == secret)
        }
    }

    @Test func oneSecretNeverSealsAlike() throws {
        let seal = Seal(generatedFrom: chance)
        let blobs = try (0..<100).map { _ in try seal.seal([1, 2, 3], belonging: "x", chance: chance) }
        #expect(Set(blobs).count == 100)
    }

    @Test func refusesWhatBelongsElsewhere() throws {
        let seal = Seal(generatedFrom: chance)
        let blob = try seal.seal(Array("secret".utf8), belonging: "accessKey/AKIA1", chance: chance)
        #expect(throws: Fault.self) { try seal.open(blob, belonging: "accessKey/AKIA2") }
        #expect(throws: Fault.self) { try Seal(generatedFrom: chance).open(blob, belonging: "accessKey/AKIA1") }
    }

    @Test func everyFlippedBitIsRefused() throws {
        let seal = Seal(generatedFrom: chance)
        let blob = try seal.seal(Array("secret".utf8), belonging: "x", chance: chance)
        for bit in 0..<blob.count * 8 {
            var changed = blob
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: Fault.self) { try seal.open(changed, belonging: "x") }
        }
        for count in 0..<blob.count {
            #expect(throws: Fault.self) { try seal.open(Array(blob.prefix(count)), belonging: "x") }
        }
    }

    @Test func rotationKeepsOldSecretsOpenThroughTheFile() throws {
        let old = Seal(generatedFrom: chance)
        let blob = try old.seal([9], belonging: "x", chance: chance)
        let rotated = try Seal(file: old.rotated(with: chance).file)
        #expect(try rotated.open(blob, belonging: "x") == [9])
        #expect(rotated.isOutdated(blob))
        let fresh = try rotated.seal([9], belonging: "x", chance: chance)
        #expect(!rotated.isOutdated(fresh))
        #expect(throws: Fault.self) { try old.open(fresh, belonging: "x") }
    }

    @Test(arguments: [
        "", "\n", "karri-master-key-1 ", "karri-master-key-1 00ff", "karri-master-key-2 " + String(repeating: "0", count: 64),
        "karri-master-key-1 " + String(repeating: "g", count: 64),
        String(repeating: "karri-master-key-1 " + String(repeating: "0", count: 64) + "\n", count: 65),
    ])
    func damagedFilesAreRefused(text: String) {
        #expect(throws: Fault.self) { try Seal(file: Array(text.utf8)) }
    }

    @Test func nothingSecretIsPrinted() throws {
        let seal = Seal(generatedFrom: chance)
        let secret = String(decoding: seal.file, as: UTF8.self).split(separator: " ")[1].prefix(64)
        var dumped = ""
        dump(seal, to: &dumped)
        #expect(!dumped.contains(secret) && !"\(seal)".contains(secret) && !String(reflecting: seal).contains(secret))
        let credentials = Credentials(.permanent, chance: chance)
        dumped = ""
        dump(credentials, to: &dumped)
        #expect(!dumped.contains(credentials.secret) && !"\(credentials)".contains(credentials.secret))
    }
}

@Suite struct CredentialTests {
    @Test func shapes() {
        let key = Credentials(.permanent, chance: .system)
        #expect(key.key.utf8.count == 20 && key.key.hasPrefix("AKIA"))
        #expect(key.secret.utf8.count == 40)
        #expect(Credentials(.temporary, chance: .system).key.hasPrefix("ASIA"))
        let allowed = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
        #expect(key.key.dropFirst(4).allSatisfy(allowed.contains))
        #expect(Set((0..<1000).map { _ in Credentials(.permanent, chance: .system).key }).count == 1000)
    }

    @Test func chanceDecidesThem() {
        #expect(Credentials(.permanent, chance: seededChance(7)) == Credentials(.permanent, chance: seededChance(7)))
        #expect(Credentials(.permanent, chance: seededChance(7)) != Credentials(.permanent, chance: seededChance(8)))
    }

    @Test func uniqueIdsDiffer() {
        #expect(UniqueIdentity.user(ID(bits: 0)) == "AIDAAAAAAAAAAAAAAAAAA")
        #expect(UniqueIdentity.user(ID(bits: .max)) == "AIDAAAAAP777777777777")
        #expect(UniqueIdentity.user(ID(bits: 1)).utf8.count == 21)
    }

    @Test func comparesInConstantTime() {
        #expect(equalInConstantTime("abc", "abc"))
        #expect(!equalInConstantTime("abc", "abd"))
        #expect(!equalInConstantTime("abc", "ab"))
        #expect(equalInConstantTime([UInt8](), [UInt8]()))
    }
}

@Suite struct PasswordTests {
    @Test func verifies() throws {
        let hash = try PasswordHash(of: "correct horse", chance: .system)
        #expect(hash.text.hasPrefix("$scrypt$ln=15,r=8,p=1$"))
        #expect(hash.verify("correct horse"))
        #expect(!hash.verify("correct horsf"))
        #expect(!hash.isOutdated)
        #expect(try PasswordHash(of: "correct horse", chance: .system) != hash)
    }

    /// RFC 7914, section 12: the one vector with p = 1 and a block size that we take.
    @Test func publishedVector() {
        let hash = PasswordHash(
            stored:
                "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw"
        )
        #expect(hash.verify("pleaseletmein"))
        #expect(!hash.verify("pleaseletmeout"))
        #expect(hash.isOutdated)
    }

    @Test(arguments: [
        "", "$", "$scrypt$ln=15,r=8,p=1$$", "$scrypt$ln=40,r=8,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
        "$scrypt$ln=15,r=8,p=9999$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
        "$scrypt$ln=-1,r=8,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
        "$argon2id$ln=15,r=8,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA", "$scrypt$ln=15,r=8,p=1$c2FsdHNhbHRzYWx0$YQ",
    ])
    func damagedHashesVerifyNothing(text: String) {
        #expect(!PasswordHash(stored: text).verify(""))
        #expect(PasswordHash(stored: text).isOutdated)
    }

    @Test func refusesEmptyAndEndless() {
        #expect(throws: Fault.self) { try PasswordHash(of: "", chance: .system) }
        #expect(throws: Fault.self) { try PasswordHash(of: String(repeating: "x", count: 1025), chance: .system) }
    }
}
