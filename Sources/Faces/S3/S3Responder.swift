//  One call, from its bytes to the answer's, in a straight line: address, operation, signature, caller,
//  body, one switch.

import AWSProtocol
import Authority
import HTTPTypes
import Hummingbird
import Listening
import Logging
import Model
import NIOHTTPTypes
import ObjectStorage
import Objects

/// A call whose signature was found good, or that has none.
struct S3Call: Sendable {
    let caller: Caller
    let request: Request
    let query: S3Query
    let body: S3Body
    /// How long the object in the body is, where the client has said so.
    let bodyLength: Int64?
    /// The fields of a form whose file is the body.
    var form: PostForm?

    func header(_ name: String) -> String? { request.header(name) }
}

extension Request {
    /// The value of a header, whose name is in lower case; those of one that comes repeatedly are joined (RFC 9110,
    /// section 5.3). A few fields are gone through quicker than a name is made to look up.
    func header(_ name: String) -> String? {
        var value: String?
        for field in headers where field.name.canonicalName == name {
            value = value.map { "\($0), \(field.value)" } ?? field.value
        }
        return value
    }

    /// With more headers.
    fileprivate func with(_ added: [(name: String, value: String)]) -> Request {
        guard !added.isEmpty else { return self }
        var head = head
        for (name, value) in added {
            if let name = HTTPField.Name(name) { head.headerFields.append(HTTPField(name: name, value: value)) }
        }
        return Request(head: head, body: body)
    }
}

struct S3Responder: Sendable {
    let identity: any KeyDirectory
    let objects: ObjectsService
    let accessLogs: AccessLogs
    let isSecure: Bool
    let chance: Chance
    let logger: Logger
    let meters = S3Meters()
    private let signingKeys = SignatureV4.SigningKeys()

    init(
        identity: any KeyDirectory, objects: ObjectsService, accessLogs: AccessLogs, isSecure: Bool, chance: Chance, logger: Logger
    ) {
        self.identity = identity
        self.objects = objects
        self.accessLogs = accessLogs
        self.isSecure = isSecure
        self.chance = chance
        self.logger = logger
    }

    func respond(to request: Request, context: HTTPConnection) async -> Response {
        let requestID = hexDigits(chance.bits()).uppercased()
        var trace = S3Trace(requestID: requestID, begun: chance.now())
        var response: Response
        var code = "OK"
        do throws(S3Error) {
            response = try await answer(request, context, requestID, &trace)
            // Websites say themselves what they refuse.
            if let refused = response.headers[.errorCode] { code = refused }
        } catch {
            code = error.code.name
            response = refuse(error, request, requestID)
        }
        if request.headers[.origin] != nil, let bucket = trace.operation?.bucket {
            for field in await corsFields(bucket, request) { response.headers[field.name] = field.value }
        }
        response.headers[.requestID] = requestID
        response.headers[.server] = "Karri"
        let name = trace.operation?.name ?? "unknown"
        meters.calls.count(name, code)
        meters.spans.record(name, duration: ContinuousClock.now - trace.beginning)
        return await recorded(response, trace, code: code, request, context)
    }

    private func answer(
        _ request: Request, _ context: HTTPConnection, _ requestID: String, _ trace: inout S3Trace
    ) async throws(S3Error) -> Response {
        let host = request.bucketHost
        if let host, host.isWebsite {
            trace.operation = .visitWebsite(host.bucket)
            return await visitWebsite(host.bucket, request, context, requestID)
        }
        let target = RequestTarget(request)
        let query = S3Query(target.query)
        let found = try S3Operation(
            try S3Target(path: target.path, host: host?.bucket), method: request.method.rawValue, query: query,
            copies: request.header("x-amz-copy-source") != nil || query.movesCopySource)
        trace.operation = found
        var body: S3Body?
        do {
            if case .preflight(let bucket) = found { return try await preflight(bucket, request) }
            let call: S3Call
            if case .postObject(let bucket) = found {
                call = try await formCall(to: bucket, request, query, context, requestID)
            } else {
                call = try await authenticate(found, request, target, query, context, requestID)
            }
            body = call.body
            trace.session = call.caller.session
            try await checkOwners(found, call)
            var response = try await perform(found, call)
            // What was done is not refused for what it costs.
            if (try? await isCharged(found, call)) == true { response.headers[.requestCharged] = "requester" }
            return response
        } catch {
            // What the body was refused for is the reason of all that followed.
            let refusal = (body?.refusal ?? S3Error(of: error)).about(found)
            if refusal.isInternal {
                logger.error("\(refusal.message)", metadata: ["fault": "\(error)", "request": "\(requestID)"])
            }
            throw refusal
        }
    }

    /// Refuses a call that is meant for a bucket of another owner than it has ("Verifying bucket ownership with bucket owner condition").
    private func checkOwners(_ operation: S3Operation, _ call: S3Call) async throws {
        try await checkOwner("x-amz-expected-bucket-owner", call) { operation.bucket }
        try await checkOwner("x-amz-source-expected-bucket-owner", call) { try call.copySource?.bucket }
    }

    private func checkOwner(_ field: String, _ call: S3Call, of bucket: () throws -> String?) async throws {
        guard let number = call.header(field) else { return }
        guard number.utf8.count == 12, number.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            throw S3Error(
                .invalidBucketOwnerAWSAccountID, "The value of the expected bucket owner parameter must be an AWS account ID.")
        }
        if let bucket = try bucket() { try await objects.checkOwner(number, of: bucket) }
    }

    /// Whether the caller pays for the call in the owner's stead.
    private func isCharged(_ operation: S3Operation, _ call: S3Call) async throws -> Bool {
        guard call.header("x-amz-request-payer") != nil, let bucket = operation.bucket else { return false }
        return try await objects.isPaid(byCallerOf: bucket, call.caller)
    }

    private func perform(_ operation: S3Operation, _ call: S3Call) async throws -> Response {
        switch operation {
        case .listBuckets: try await listBuckets(call)
        case .createBucket(let bucket): try await createBucket(bucket, call)
        case .headBucket(let bucket): try await headBucket(bucket, call)
        case .deleteBucket(let bucket): try await deleteBucket(bucket, call)
        case .getBucketLocation(let bucket): try await getBucketLocation(bucket, call)
        case .getBucketAcl(let bucket): try await getBucketAcl(bucket, call)
        case .putBucketAcl(let bucket): try await putBucketAcl(bucket, call)
        case .getBucketPolicy(let bucket): try await getBucketPolicy(bucket, call)
        case .putBucketPolicy(let bucket): try await putBucketPolicy(bucket, call)
        case .deleteBucketPolicy(let bucket): try await deleteBucketPolicy(bucket, call)
        case .getBucketPolicyStatus(let bucket): try await getBucketPolicyStatus(bucket, call)
        case .getBucketSetting(let bucket, let setting): try await getBucketSetting(bucket, setting, call)
        case .putBucketSetting(let bucket, let setting): try await putBucketSetting(bucket, setting, call)
        case .deleteBucketSetting(let bucket, let setting): try await deleteBucketSetting(bucket, setting, call)
        case .listObjects(let bucket): try await listObjects(bucket, call)
        case .listObjectsV2(let bucket): try await listObjectsV2(bucket, call)
        case .listObjectVersions(let bucket): try await listObjectVersions(bucket, call)
        case .listMultipartUploads(let bucket): try await listMultipartUploads(bucket, call)
        case .deleteObjects(let bucket): try await deleteObjects(bucket, call)
        case .putObject(let name): try await putObject(name, call)
        case .postObject: try await postObject(call)
        case .copyObject(let name): try await copyObject(name, call)
        case .getObject(let name): try await getObject(name, call)
        case .headObject(let name): try await headObject(name, call)
        case .getObjectAttributes(let name): try await getObjectAttributes(name, call)
        case .deleteObject(let name): try await deleteObject(name, call)
        case .getObjectAcl(let name): try await getObjectAcl(name, call)
        case .putObjectAcl(let name): try await putObjectAcl(name, call)
        case .getObjectTagging(let name): try await getObjectTagging(name, call)
        case .putObjectTagging(let name): try await putObjectTagging(name, call)
        case .deleteObjectTagging(let name): try await deleteObjectTagging(name, call)
        case .getObjectRetention(let name): try await getObjectRetention(name, call)
        case .putObjectRetention(let name): try await putObjectRetention(name, call)
        case .getObjectLegalHold(let name): try await getObjectLegalHold(name, call)
        case .putObjectLegalHold(let name): try await putObjectLegalHold(name, call)
        case .createMultipartUpload(let name): try await createMultipartUpload(name, call)
        case .uploadPart(let name, let part): try await uploadPart(name, part, call)
        case .uploadPartCopy(let name, let part): try await uploadPartCopy(name, part, call)
        case .listParts(let name, let upload): try await listParts(name, upload, call)
        case .completeMultipartUpload(let name, let upload): try await completeMultipartUpload(name, upload, call)
        case .abortMultipartUpload(let name, let upload): try await abortMultipartUpload(name, upload, call)
        case .preflight, .visitWebsite: throw S3Error.notAllowed
        }
    }

    // MARK: Who calls

    private func authenticate(
        _ operation: S3Operation, _ request: Request, _ target: RequestTarget, _ query: S3Query, _ context: HTTPConnection,
        _ requestID: String
    ) async throws(S3Error) -> S3Call {
        let now = chance.now()
        let signed = SignatureV4.Request(
            method: request.method.rawValue, rawPath: target.path, rawQuery: target.query,
            headers: request.signableFields)
        let circumstances = circumstances(of: request, context, now)
        let session: Session
        let proof: S3Proof
        let claim = try S3Claim(signed)
        if let claim {
            let known = try await identify(claim.accessKey, in: claim.scope, securityToken: claim.securityToken)
            proof = try claim.verify(signed, secret: known.secret, now: now, keys: signingKeys)
            session = known.session(circumstances)
        } else {
            session = Session(anonymousIn: circumstances)
            proof = S3Proof(unsigned: signed)
        }
        let request = request.with(proof.movedHeaders)
        let conditions = S3Conditions(
            request: request, query: query,
            authType: claim.map { _ in request.headers[.authorization] == nil ? "REST-QUERY-STRING" : "REST-HEADER" },
            signatureVersion: claim?.version)
        let (body, length) = try self.body(of: request, for: operation, proof, context)
        return S3Call(
            caller: Caller(session, requestID: requestID, condition: conditions.value), request: request, query: query,
            body: body, bodyLength: length)
    }

    /// The owner of an access key.
    ///
    /// - Throws: `InvalidAccessKeyId` where there is none.
    func identify(
        _ accessKey: String, in scope: SigningScope?, securityToken: String?
    ) async throws(S3Error) -> IdentifiedKey {
        let known: IdentifiedKey?
        do throws(Fault) { known = try await identity.identify(accessKey, signingIn: scope) } catch {
            switch error.code {
            case .notSupported: throw .needsVersion4
            // Of another service or of a day that is long over.
            case .denied: throw S3Error(.signatureDoesNotMatch())
            default: throw S3Error(error)
            }
        }
        // Temporary credentials have keys of their own, which are not known here.
        guard let known, securityToken == nil else { throw S3Error(.invalidClientTokenId) }
        return known
    }

    /// What policies may ask of a call.
    func circumstances(of request: Request, _ context: HTTPConnection, _ now: Instant) -> Circumstances {
        Circumstances(
            now: now, sourceAddress: context.sourceAddress, secureTransport: isSecure, userAgent: request.header("user-agent"),
            region: objects.region)
    }

    // MARK: Its body

    private func body(
        of request: Request, for operation: S3Operation, _ proof: S3Proof, _ context: HTTPConnection
    ) throws(S3Error) -> (S3Body, Int64?) {
        var decoder: ChunkedDecoder?
        var payloadHash: String?
        var length = request.header("content-length").flatMap { Int64($0) }
        switch proof.payload {
        case .checked, .unsigned: break
        case .declared(let hash):
            guard hash.utf8.count == 64, hash.utf8.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit }) else {
                throw S3Error.invalidArgument(
                    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
                        + "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.")
            }
            payloadHash = hash
        case .streaming(let form):
            let isSigned = form.hasPrefix("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
            guard isSigned || form == "STREAMING-UNSIGNED-PAYLOAD-TRAILER" else { throw .notImplemented(form) }
            guard !isSigned || proof.chain != nil else { throw .accessDenied }
            decoder = ChunkedDecoder(chain: isSigned ? proof.chain : nil, hasTrailer: form.hasSuffix("-TRAILER"))
            length = request.header("x-amz-decoded-content-length").flatMap { Int64($0) }
            guard length ?? 0 >= 0 else {
                throw S3Error.invalidArgument("x-amz-decoded-content-length must not be negative.")
            }
        }
        if request.method == .put || request.method == .post {
            try BodyChecks.refuseUnknown(request.headers.lazy.map(\.name.canonicalName))
        }
        let checks = try BodyChecks(
            { name in
                // What completes an upload says of the object what other calls say of their bodies.
                if case .completeMultipartUpload = operation, name.hasPrefix("x-amz-checksum-") { return nil }
                return request.header(name)
            }, payloadHash: payloadHash)
        let body = S3Body(request.body, decoder: decoder, checks: checks, length: length) { await invite(request, context) }
        return (body, length)
    }

    /// Tells a client that waits with its body that it may send it.
    func invite(_ request: Request, _ context: HTTPConnection) async {
        guard request.header("expect")?.lowercased() == "100-continue" else { return }
        try? await context.channel.writeAndFlush(HTTPResponsePart.head(HTTPResponse(status: .continue)))
    }

    // MARK: Answers

    private func refuse(_ error: S3Error, _ request: Request, _ requestID: String) -> Response {
        let hasBody = request.method != .head && error.status != 304
        let bytes = hasBody ? error.body(resource: RequestTarget(request).path, requestID: requestID) : []
        var response = xml(bytes, status: HTTPResponse.Status(code: error.status))
        for (name, value) in error.fields { response.headers.set(name, value) }
        // A client that waits with its body, or is still sending it, is not listened to any more.
        if request.method == .put || request.method == .post { response.headers[.connection] = "close" }
        return response
    }
}
