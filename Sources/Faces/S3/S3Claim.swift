//  Who a request says it is from, in either of the signatures that S3 knows, and what is known once the
//  claim is proven.

import AWSProtocol
import Authority
import Model

/// What a request says of its own signature. Nothing in it is proven.
enum S3Claim: Sendable {
    case version4(SignatureV4.Claim)
    case version2(SignatureV2.Claim)

    /// Nil where nobody signed the request.
    ///
    /// - Throws: What S3 says to a claim that cannot be read.
    init?(_ request: SignatureV4.Request) throws(S3Error) {
        func saysNothing(_ header: (name: String, value: String)) -> Bool {
            header.name == "authorization" && trimmed(header.value).isEmpty
        }
        var request = request
        // An empty header says as little as none. The headers are copied only then.
        if request.headers.contains(where: saysNothing) { request.headers.removeAll(where: saysNothing) }
        do throws(SignatureV2.Refusal) {
            if let claim = try SignatureV2.Claim(request) {
                self = .version2(claim)
                return
            }
        } catch { throw S3Error(error) }
        do throws(SignatureV4.Refusal) { self = .version4(try SignatureV4.Claim(request)) } catch {
            if case .missingAuthenticationToken = error { return nil }
            throw request.refused(for: error)
        }
    }

    /// As policies name it (`s3:signatureversion`).
    var version: String {
        switch self {
        case .version4: "AWS4-HMAC-SHA256"
        case .version2: "AWS"
        }
    }

    var accessKey: String {
        switch self {
        case .version4(let claim): claim.accessKey
        case .version2(let claim): claim.accessKey
        }
    }

    /// What the key that signed was derived for; nil where the secret itself signed.
    var scope: SigningScope? {
        switch self {
        case .version4(let claim): claim.scope
        case .version2: nil
        }
    }

    /// The token of temporary credentials.
    var securityToken: String? {
        switch self {
        case .version4(let claim): claim.securityToken
        case .version2(let claim): claim.securityToken
        }
    }

    /// Checks the claim against the request and the key's secret.
    func verify(
        _ request: SignatureV4.Request, secret: SigningSecret, now: Instant, keys: SignatureV4.SigningKeys
    ) throws(S3Error) -> S3Proof {
        switch self {
        case .version4(let claim):
            do throws(SignatureV4.Refusal) {
                let verified = try claim.verify(request, secret: secret, now: now, pathStyle: .asSent, keys: keys)
                var proof = S3Proof(payload: verified.payload)
                proof.movedHeaders = claim.movedHeaders(of: request)
                if case .streaming(let form) = verified.payload, form.hasPrefix("STREAMING-AWS4-HMAC-SHA256-PAYLOAD") {
                    proof.chain = SignatureV4.ChunkChain(after: claim, secret: secret, keys: keys)
                }
                return proof
            } catch { throw request.refused(for: error) }
        case .version2(let claim):
            let whole = try secret.whole()
            do throws(SignatureV2.Refusal) {
                try claim.verify(request, bucket: request.bucketHost, secret: whole, now: now)
            } catch { throw S3Error(error) }
            var proof = S3Proof(unsigned: request)
            proof.movedHeaders = claim.movedHeaders(of: request)
            return proof
        }
    }
}

/// What is known of a request before its body comes.
struct S3Proof: Sendable {
    var payload: SignatureV4.Verified.Payload
    /// What the body's chunks are signed with, where they are.
    var chain: SignatureV4.ChunkChain?
    /// Headers that stand in the query of a presigned request, where they were signed.
    var movedHeaders: [(name: String, value: String)] = []

    init(payload: SignatureV4.Verified.Payload, chain: SignatureV4.ChunkChain? = nil) {
        self.payload = payload
        self.chain = chain
    }

    /// Of a body that no signature speaks of: what the request itself says of it.
    ///
    /// - Parameter request: With its headers' names in lower case.
    init(unsigned request: SignatureV4.Request) {
        func value(_ name: String) -> String? { request.headers.first { $0.name == name }?.value }
        switch value("x-amz-content-sha256") {
        case let form? where form.hasPrefix("STREAMING-"): payload = .streaming(form)
        case let hash? where hash.utf8.count == 64: payload = .declared(hash.lowercased())
        default:
            let isChunked = value("content-encoding")?.lowercased().contains("aws-chunked") ?? false
            payload = isChunked ? .streaming("STREAMING-UNSIGNED-PAYLOAD-TRAILER") : .unsigned
        }
    }
}

extension SignatureV4.Request {
    /// The bucket that the Host header names.
    fileprivate var bucketHost: String? {
        headers.first { $0.name == "host" }.flatMap { BucketHost($0.value) }?.bucket
    }

    private func value(_ name: String) -> String? { headers.first { $0.name == name }?.value }

    /// What S3 says to a signature that is refused: what is missing, where something is.
    fileprivate func refused(for refusal: SignatureV4.Refusal) -> S3Error {
        guard case .incompleteSignature = refusal else { return S3Error(refusal, isPresigned: isPresigned) }
        if let authorization = value("authorization"), !authorization.isEmpty {
            guard authorization.hasPrefix("AWS ") || authorization.hasPrefix("AWS4-") else {
                return .invalidArgument("Unsupported Authorization Type")
            }
            if rawQuery.contains("X-Amz-Signature=") { return S3Error(SignatureV2.Refusal.severalSignatures) }
            if value("x-amz-content-sha256") == nil {
                return .invalidRequest("Missing required header for this request: x-amz-content-sha256")
            }
        }
        if !isPresigned, !isDated { return S3Error(SignatureV2.Refusal.missingDate) }
        return S3Error(refusal, isPresigned: isPresigned)
    }

    /// Whether a header says when it was signed.
    private var isDated: Bool {
        guard let text = value("x-amz-date") ?? value("date") else { return false }
        return Instant(iso8601: text) != nil || HTTPDate.parse(text) != nil
    }

    /// Whether it is signed in its address.
    fileprivate var isPresigned: Bool { rawQuery.contains("X-Amz-") }
}

extension S3Query {
    /// Whether it is of a presigned copy, whose source was moved there from the headers.
    var movesCopySource: Bool {
        (has("AWSAccessKeyId") || has("X-Amz-Signature")) && names.contains { $0.lowercased() == "x-amz-copy-source" }
    }
}

extension SigningSecret {
    /// The secret itself, which Version 2 signs with.
    ///
    /// - Throws: `InvalidRequest` where it is not known here.
    func whole() throws(S3Error) -> String {
        guard case .whole(let secret) = self else { throw .needsVersion4 }
        return secret
    }
}

extension S3Error {
    static let needsVersion4 = S3Error.invalidRequest(
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")

    init(_ refusal: SignatureV2.Refusal) {
        switch refusal {
        case .malformedAuthorization:
            self.init(.invalidArgument, "AWS authorization header is invalid.  Expected AwsAccessKeyId:signature")
        case .severalSignatures:
            self.init(
                .invalidArgument,
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the "
                    + "Authorization header should be specified")
        case .incompleteQuery:
            self.init(.accessDenied, "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
        case .malformedExpiry(let text):
            self.init(.accessDenied, "Invalid date (should be seconds since epoch): \(text.prefix(64))")
        case .missingDate: self.init(.accessDenied, "AWS authentication requires a valid Date or x-amz-date header")
        case .timeTooSkewed:
            self = .timeTooSkewed
        case .expired: self = .requestExpired
        case .signatureDoesNotMatch: self.init(SignatureV4.Refusal.signatureDoesNotMatch())
        }
    }
}
