//  What hosts are told of access keys: keys to sign with, for one use and for days about today.

import Authority
import CloudTesting
import Identity
import Model
import Testing

@Suite struct SigningKeyTests {
    @Test func aSignerIsKnownWithoutItsSecret() async throws {
        try await TestCloud.with(.sqlite) { cloud in
            let credentials = cloud.first.credentials
            let scope = SigningScope(date: SigningKeyTests.date(cloud, 0), region: "r", service: "s3")
            let signer = try #require(try await cloud.identity.signer(credentials.key, in: scope))
            #expect(signer.secret == SigningSecret.whole(credentials.secret).derived(for: scope))
            #expect(signer.principal.account?.id == cloud.first.account.id)
            #expect(try await cloud.identity.signer("AKIANOBODYKNOWSTHIS0", in: scope) == nil)
        }
    }

    @Test(arguments: [(-9, false), (-8, true), (-1, true), (0, true), (1, true), (2, false)])
    func keysAreForDaysAboutToday(days: Int, isGiven: Bool) async throws {
        try await TestCloud.with(.sqlite) { cloud in
            let scope = SigningScope(date: SigningKeyTests.date(cloud, days), region: "r", service: "s3")
            do throws(Fault) {
                #expect(try await cloud.identity.signer(cloud.first.credentials.key, in: scope) != nil && isGiven)
            } catch { #expect(error.code == .denied && !isGiven) }
        }
    }

    @Test(arguments: ["ec2", "sts", "iam", "", "S3"])
    func keysAreForObjectsOnly(service: String) async throws {
        try await TestCloud.with(.sqlite) { cloud in
            let scope = SigningScope(date: SigningKeyTests.date(cloud, 0), region: "r", service: service)
            let fault = await #expect(throws: Fault.self) {
                try await cloud.identity.signer(cloud.first.credentials.key, in: scope)
            }
            #expect(fault?.code == .denied)
        }
    }

    private static func date(_ cloud: TestCloud, _ days: Int) -> String {
        String((cloud.clock.now + .seconds(days * 86_400)).iso8601Basic.prefix(8))
    }
}
