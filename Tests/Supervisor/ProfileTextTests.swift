import Foundation
import Model
import Testing

@testable import Supervisor

/// Editing of the AWS tools' files, byte for byte.
@Suite struct ProfileTextTests {
    static let cases: [(remark: String, before: String, after: String)] = [
        ("an empty file", "", "[profile karri]\nregion = r\n"),
        ("another profile before", "[default]\nregion=x\n", "[default]\nregion=x\n\n[profile karri]\nregion = r\n"),
        ("no newline at the end", "[default]\nregion=x", "[default]\nregion=x\n\n[profile karri]\nregion = r\n"),
        ("a blank line at the end is not doubled", "[a]\nb=c\n\n", "[a]\nb=c\n\n[profile karri]\nregion = r\n"),
        ("our old value", "[profile karri]\nregion = old\n[z]\n", "[profile karri]\nregion = r\n[z]\n"),
        (
            "keys of the user's own stay", "[profile karri]\noutput = json\nregion=old\n",
            "[profile karri]\nregion = r\noutput = json\n"
        ),
        (
            "nested settings of the user's own stay", "[profile karri]\ns3 =\n  addressing_style = path\nregion = old\n",
            "[profile karri]\nregion = r\ns3 =\n  addressing_style = path\n"
        ),
        (
            "a value over two lines goes whole", "[profile karri]\nregion =\n  old\n\nx = y\n",
            "[profile karri]\nregion = r\n\nx = y\n"
        ),
        (
            "what stands before the next header is that one's", "[profile karri]\nregion = old\n\n# mine\n[z]\nq=1\n",
            "[profile karri]\nregion = r\n\n# mine\n[z]\nq=1\n"
        ),
        (
            "spelled otherwise, with a remark", "[ profile  \"karri\" ] # hi\nRegion: old\n",
            "[ profile  \"karri\" ] # hi\nregion = r\n"
        ),
        (
            "a repeated section is merged", "[profile karri]\na=b\n[z]\n[profile karri]\nregion=old\n",
            "[profile karri]\nregion = r\na=b\n[z]\n"
        ),
        ("a header alone, without newline", "[profile karri]", "[profile karri]\nregion = r\n"),
        ("line ends of Windows", "[a]\r\nb=c\r\n", "[a]\r\nb=c\r\n\r\n[profile karri]\r\nregion = r\r\n"),
        (
            "keys that are all indented are keys", "[profile karri]\n  region = old\n  output = json\n",
            "[profile karri]\n  region = r\n  output = json\n"
        ),
        (
            "a header that goes on a value is none", "[z]\na = b\n  [profile karri]\n",
            "[z]\na = b\n  [profile karri]\n\n[profile karri]\nregion = r\n"
        ),
        ("a value goes on after a blank line", "[profile karri]\nregion = old\n\n  x\n", "[profile karri]\nregion = r\n\n"),
        ("a byte order mark", "\u{feff}[profile karri]\nregion=old\n", "\u{feff}[profile karri]\nregion = r\n"),
        (
            "another of nearly our name", "[profile karri2]\nregion=x\n",
            "[profile karri2]\nregion=x\n\n[profile karri]\nregion = r\n"
        ),
        ("a header in a remark", "# [profile karri]\n", "# [profile karri]\n\n[profile karri]\nregion = r\n"),
    ]

    @Test(arguments: cases.indices) func sets(index: Int) {
        let (remark, before, after) = ProfileTextTests.cases[index]
        var text = ProfileText(Array(before.utf8))
        text.set([("region", "r")], in: "profile karri")
        #expect(String(decoding: text.bytes, as: UTF8.self) == after, "\(remark)")
        let once = text.bytes
        text.set([("region", "r")], in: "profile karri")
        #expect(text.bytes == once, "\(remark): once is enough")
    }

    @Test func removes() {
        let before = Array("[a]\nb=c\n\n# of z\n[z]\n".utf8)
        var text = ProfileText(before)
        text.set([("region", "r")], in: "profile karri")
        text.remove("profile karri")
        #expect(text.bytes == before)
        text.remove("profile karri")
        #expect(text.bytes == before)
    }

    @Test func otherBytesStayWhateverTheyAre() {
        let odd: [UInt8] = [0xff, 0xfe, 0x0a, 0x00, 0x5b, 0x0a]
        var text = ProfileText(odd)
        text.set([("region", "r")], in: "profile karri")
        #expect(Array(text.bytes.prefix(odd.count)) == odd)
    }

    /// Arbitrary files made of the pieces that matter: nothing of another section changes.
    @Test func randomFiles() {
        let pieces = [
            "[profile karri]", "[profile", " karri]", "[z]", "\n", "\r\n", "\n", "region = x", " \t", "#", ";", "a=b", "\"", "[",
            "]", "\u{1}",
        ]
        for seed: UInt64 in 0..<3000 {
            var dice = Dice(seed: seed)
            let before = (0..<Int.random(in: 0..<30, using: &dice)).map { _ in pieces.randomElement(using: &dice) ?? "" }.joined()
            var text = ProfileText(Array(before.utf8))
            #expect(text.bytes == Array(before.utf8), "seed \(seed)")
            text.set([("region", "r")], in: "profile karri")
            let after = text.bytes
            text.set([("region", "r")], in: "profile karri")
            #expect(text.bytes == after, "seed \(seed)")
            let lines = String(decoding: after, as: UTF8.self).split(whereSeparator: \.isNewline)
            #expect(lines.contains { $0.drop(while: \.isWhitespace) == "region = r" }, "seed \(seed)")
        }
    }
}

@Suite struct UserProfileTests {
    let scratch: Scratch
    let user: CallingUser
    let profile = UserProfile(endpoint: "http://127.0.0.1:8773", region: "karri", accessKey: "AKIA1", secretKey: "s/+=")

    init() throws {
        scratch = try Scratch()
        user = CallingUser(name: "someone", user: 1_879_100_011, group: 1_879_100_012, home: scratch.path + "/home")
        try FileManager.default.createDirectory(atPath: user.home, withIntermediateDirectories: true)
        chown(user.home, user.user, user.group)
    }

    private func facts(_ path: String) -> (mode: UInt32, owner: UInt32) {
        var facts = stat()
        stat(path, &facts)
        return (UInt32(facts.st_mode & 0o777), facts.st_uid)
    }

    @Test func writesForTheUserWhoCalled() throws {
        try profile.write(for: user)
        #expect(scratch.text("home/.aws/config") == "[profile karri]\nendpoint_url = http://127.0.0.1:8773\nregion = karri\n")
        #expect(scratch.text("home/.aws/credentials") == "[karri]\naws_access_key_id = AKIA1\naws_secret_access_key = s/+=\n")
        #expect(facts(user.home + "/.aws") == (0o700, user.user))
        for name in ["config", "credentials"] { #expect(facts("\(user.home)/.aws/\(name)") == (0o600, user.user)) }
        try UserProfile.remove(for: user)
        #expect(access(user.home + "/.aws", F_OK) != 0, "nothing else was in it")
    }

    @Test func keepsTheModeOfConfigAndTightensCredentials() throws {
        try user.reachingFiles {
            mkdir(user.home + "/.aws", 0o755)
            for name in ["config", "credentials"] {
                let path = "\(user.home)/.aws/\(name)"
                close(open(path, O_CREAT | O_WRONLY, 0o644))
                chmod(path, 0o644)
            }
        }
        try profile.write(for: user)
        #expect(facts(user.home + "/.aws/config").mode == 0o644)
        #expect(facts(user.home + "/.aws/credentials").mode == 0o600)
    }

    @Test func aLinkLeadsNoFurtherThanTheUserMay() throws {
        let secret = scratch.path + "/root-only"
        try "[karri]\nmine = 1\n".write(toFile: secret, atomically: false, encoding: .utf8)
        chmod(secret, 0o600)
        try user.reachingFiles {
            mkdir(user.home + "/.aws", 0o700)
            symlink(secret, user.home + "/.aws/credentials")
        }
        let fault = #expect(throws: Fault.self) { try profile.write(for: user) }
        #expect(fault?.code == .storage)
        #expect(scratch.text("root-only") == "[karri]\nmine = 1\n")
    }

    @Test func followsTheUsersOwnLink() throws {
        try user.reachingFiles {
            mkdir(user.home + "/.aws", 0o700)
            mkdir(user.home + "/dotfiles", 0o700)
            close(open(user.home + "/dotfiles/config", O_CREAT | O_WRONLY, 0o640))
            symlink("../dotfiles/config", user.home + "/.aws/config")
        }
        try profile.write(for: user)
        #expect(scratch.text("home/dotfiles/config").contains("endpoint_url"))
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: user.home + "/.aws/config") == "../dotfiles/config")
    }

    @Test func aValueThatWouldBeAnotherLineIsRefused() {
        var bad = profile
        bad.secretKey = "x\n[default]"
        #expect(throws: Fault.self) { try bad.write(for: user) }
    }

    @Test func rootsRightsComeBack() throws {
        try user.reachingFiles {
            #expect(access(user.home, W_OK) == 0)
        }
        close(open(scratch.path + "/by-root", O_CREAT | O_WRONLY, 0o600))
        #expect(facts(scratch.path + "/by-root").owner == 0)
    }
}
