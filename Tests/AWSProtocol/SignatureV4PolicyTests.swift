//  The signature over a form's policy: the published example, and what is no claim.

import Testing

@testable import AWSProtocol

private let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

@Suite struct SignatureV4PolicyTests {
    private static let credential = "AKIAIOSFODNN7EXAMPLE/20151229/us-east-1/s3/aws4_request"
    private static let signature = "8afdbf4008c03f22c2cd3cdb72e4afbb1f6a588f3255ac628749a66d7f09699e"

    /// Amazon S3 API Reference, "Example: browser-based upload using HTTP POST"; its lines end as the web's do.
    private static let policy =
        "eyAiZXhwaXJhdGlvbiI6ICIyMDE1LTEyLTMwVDEyOjAwOjAwLjAwMFoiLA0KICAiY29uZGl0aW9ucyI6IFsNCiAgICB7ImJ1Y2tldCI6ICJzaWd2NGV4"
        + "YW1wbGVidWNrZXQifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRrZXkiLCAidXNlci91c2VyMS8iXSwNCiAgICB7ImFjbCI6ICJwdWJsaWMtcmVhZCJ9"
        + "LA0KICAgIHsic3VjY2Vzc19hY3Rpb25fcmVkaXJlY3QiOiAiaHR0cDovL3NpZ3Y0ZXhhbXBsZWJ1Y2tldC5zMy5hbWF6b25hd3MuY29tL3N1Y2Nlc3Nm"
        + "dWxfdXBsb2FkLmh0bWwifSwNCiAgICBbInN0YXJ0cy13aXRoIiwgIiRDb250ZW50LVR5cGUiLCAiaW1hZ2UvIl0sDQogICAgeyJ4LWFtei1tZXRhLXV1"
        + "aWQiOiAiMTQzNjUxMjM2NTEyNzQifSwNCiAgICB7IngtYW16LXNlcnZlci1zaWRlLWVuY3J5cHRpb24iOiAiQUVTMjU2In0sDQogICAgWyJzdGFydHMt"
        + "d2l0aCIsICIkeC1hbXotbWV0YS10YWciLCAiIl0sDQoNCiAgICB7IngtYW16LWNyZWRlbnRpYWwiOiAiQUtJQUlPU0ZPRE5ON0VYQU1QTEUvMjAxNTEy"
        + "MjkvdXMtZWFzdC0xL3MzL2F3czRfcmVxdWVzdCJ9LA0KICAgIHsieC1hbXotYWxnb3JpdGhtIjogIkFXUzQtSE1BQy1TSEEyNTYifSwNCiAgICB7Ingt"
        + "YW16LWRhdGUiOiAiMjAxNTEyMjlUMDAwMDAwWiIgfQ0KICBdDQp9"

    @Test func theDocumentedExample() throws {
        let claim = try SignatureV4.PolicyClaim(
            algorithm: "AWS4-HMAC-SHA256", credential: Self.credential, date: "20151229T000000Z", signature: Self.signature)
        #expect(claim.accessKey == "AKIAIOSFODNN7EXAMPLE")
        try claim.verify(Self.policy, secret: .whole(secret))
        #expect(throws: SignatureV4.Refusal.signatureDoesNotMatch()) { try claim.verify(Self.policy + "=", secret: .whole(secret)) }
        #expect(throws: SignatureV4.Refusal.signatureDoesNotMatch()) { try claim.verify(Self.policy, secret: .whole("other")) }
    }

    @Test(arguments: [
        ("AWS4-HMAC-SHA512", credential, "20151229T000000Z"), ("AWS4-HMAC-SHA256", "", "20151229T000000Z"),
        ("AWS4-HMAC-SHA256", "/20151229/us-east-1/s3/aws4_request", "20151229T000000Z"),
        ("AWS4-HMAC-SHA256", "k/20151229/us-east-1/s3/aws5_request", "20151229T000000Z"),
        ("AWS4-HMAC-SHA256", credential, "20151230T000000Z"), ("AWS4-HMAC-SHA256", credential, "Tue, 29 Dec 2015 00:00:00 GMT"),
        ("AWS4-HMAC-SHA256", credential, ""),
    ])
    func noClaims(algorithm: String, credential: String, date: String) {
        let refusal = #expect(throws: SignatureV4.Refusal.self) {
            try SignatureV4.PolicyClaim(algorithm: algorithm, credential: credential, date: date, signature: Self.signature)
        }
        guard case .incompleteSignature = refusal else {
            Issue.record("\(String(describing: refusal))")
            return
        }
    }
}
