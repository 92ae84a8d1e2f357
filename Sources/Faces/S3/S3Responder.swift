//  One call, from its bytes to the answer's, in a straight line: address, operation, signature, caller,
//  body, one switch.

import AWSProtocol
import Authority
import HTTPTypes
import Hummingbird
import Identity
import Listening
import Logging
import Model
import NIOCore
import NIOHTTPTypes
import ObjectStorage
import Objects

/// A call whose signature was found good.
struct S3Call: Sendable {
    let session: Session
    let request: Request
    let query: S3Query
    let requestID: String
    let now: Instant
    let body: S3Body
    /// How long the object in the body is, where the client has said so.
    let bodyLength: Int64?

    func header(_ name: String) -> String? { request.header(name) }
}

extension Request {
    /// The first value of a header; the name in lower case.
    func header(_ name: String) -> String? {
        HTTPField.Name(name).flatMap { headers[$0] }
    }
}

struct S3Responder: Sendable {
    let identity: IdentityService
    let objects: ObjectsService
    let isSecure: Bool
    let chance: Chance
    let logger: Logger
    let meters = S3Meters()
    private let signingKeys = SignatureV4.SigningKeys()

    init(identity: IdentityService, objects: ObjectsService, isSecure: Bool, chance: Chance, logger: Logger) {
        self.identity = identity
        self.objects = objects
        self.isSecure = isSecure
        self.chance = chance
        self.logger = logger
    }

    func respond(to request: Request, context: HTTPConnection) async -> Response {
        let beginning = ContinuousClock.now
        let requestID = hexDigits(chance.bits()).uppercased()
        var operation: S3Operation?
        var response: Response
        var code = "OK"
        do throws(S3Error) {
            response = try await answer(request, context, requestID, &operation)
        } catch {
            code = error.code
            response = refuse(error, request, requestID)
        }
        response.headers[.requestID] = requestID
        response.headers[.server] = "Karri"
        let name = operation?.name ?? "unknown"
        meters.calls.count(name, code)
        meters.spans.record(name, duration: ContinuousClock.now - beginning)
        return response
    }

    private func answer(
        _ request: Request, _ context: HTTPConnection, _ requestID: String, _ operation: inout S3Operation?
    ) async throws(S3Error) -> Response {
        let target = RequestTarget(request)
        let query = S3Query(target.query)
        let found = try S3Operation(
            try S3Target(path: target.path), method: request.method.rawValue, query: query,
            copies: request.header("x-amz-copy-source") != nil)
        operation = found
        let call = try await authenticate(request, target, query, context, requestID)
        do throws(Fault) {
            return try await perform(found, call)
        } catch {
            // What the body was refused for is the reason of all that followed.
            if let refusal = call.body.refusal { throw refusal }
            let refusal = S3Error(error)
            if refusal.isInternal { logger.error("\(error.message)", metadata: ["fault": "\(error)", "request": "\(requestID)"]) }
            throw refusal
        }
    }

    private func perform(_ operation: S3Operation, _ call: S3Call) async throws(Fault) -> Response {
        switch operation {
        case .listBuckets: try await listBuckets(call)
        case .createBucket(let bucket): try await createBucket(bucket, call)
        case .headBucket(let bucket): try await headBucket(bucket, call)
        case .deleteBucket(let bucket): try await deleteBucket(bucket, call)
        case .getBucketLocation(let bucket): try await getBucketLocation(bucket, call)
        case .getBucketVersioning(let bucket): try await getBucketVersioning(bucket, call)
        case .listObjects(let bucket): try await listObjects(bucket, call)
        case .listObjectsV2(let bucket): try await listObjectsV2(bucket, call)
        case .listMultipartUploads(let bucket): try await listMultipartUploads(bucket, call)
        case .deleteObjects(let bucket): try await deleteObjects(bucket, call)
        case .putObject(let bucket, let key): try await putObject(bucket, key, call)
        case .copyObject(let bucket, let key): try await copyObject(bucket, key, call)
        case .getObject(let bucket, let key): try await getObject(bucket, key, call)
        case .headObject(let bucket, let key): try await headObject(bucket, key, call)
        case .deleteObject(let bucket, let key): try await deleteObject(bucket, key, call)
        case .createMultipartUpload(let bucket, let key): try await createMultipartUpload(bucket, key, call)
        case .uploadPart(let bucket, let key, let part): try await uploadPart(bucket, key, part, call)
        case .uploadPartCopy(let bucket, let key, let part): try await uploadPartCopy(bucket, key, part, call)
        case .listParts(let bucket, let key, let upload): try await listParts(bucket, key, upload, call)
        case .completeMultipartUpload(let bucket, let key, let upload):
            try await completeMultipartUpload(bucket, key, upload, call)
        case .abortMultipartUpload(let bucket, let key, let upload): try await abortMultipartUpload(bucket, key, upload, call)
        }
    }

    // MARK: Who calls

    private func authenticate(
        _ request: Request, _ target: RequestTarget, _ query: S3Query, _ context: HTTPConnection, _ requestID: String
    ) async throws(S3Error) -> S3Call {
        let now = chance.now()
        let signed = SignatureV4.Request(
            method: request.method.rawValue, rawPath: target.path, rawQuery: target.query,
            headers: request.signableFields)
        let claim: SignatureV4.Claim
        do throws(SignatureV4.Refusal) { claim = try SignatureV4.Claim(signed) } catch { throw S3Error(error) }
        let known: IdentityService.Identified?
        do throws(Fault) { known = try await identity.identify(claim.accessKey) } catch { throw S3Error(error) }
        // Temporary credentials have keys of their own, which are not known here.
        guard let known, claim.securityToken == nil else { throw S3Error(.invalidClientTokenId) }
        let verified: SignatureV4.Verified
        do throws(SignatureV4.Refusal) {
            verified = try claim.verify(signed, secret: known.secret, now: now, pathStyle: .asSent, keys: signingKeys)
        } catch { throw S3Error(error) }
        let session = known.session(
            Circumstances(
                now: now, sourceAddress: context.sourceAddress, secureTransport: isSecure, userAgent: request.header("user-agent"),
                region: objects.region))
        let (body, length) = try self.body(of: request, verified, known.secret, context)
        return S3Call(
            session: session, request: request, query: query, requestID: requestID, now: now, body: body, bodyLength: length)
    }

    // MARK: Its body

    private func body(
        of request: Request, _ verified: SignatureV4.Verified, _ secret: String, _ context: HTTPConnection
    ) throws(S3Error) -> (S3Body, Int64?) {
        var decoder: ChunkedDecoder?
        var payloadHash: String?
        var length = request.header("content-length").flatMap { Int64($0) }
        switch verified.payload {
        case .checked, .unsigned: break
        case .declared(let hash): payloadHash = hash
        case .streaming(let form):
            let isSigned = form.hasPrefix("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
            guard isSigned || form == "STREAMING-UNSIGNED-PAYLOAD-TRAILER" else { throw .notImplemented(form) }
            decoder = ChunkedDecoder(
                chain: isSigned ? SignatureV4.ChunkChain(after: verified.claim, secret: secret, keys: signingKeys) : nil,
                hasTrailer: form.hasSuffix("-TRAILER"))
            length = request.header("x-amz-decoded-content-length").flatMap { Int64($0) }
        }
        let checks = try BodyChecks({ request.header($0) }, payloadHash: payloadHash)
        let waits = request.header("expect")?.lowercased() == "100-continue"
        let channel = context.channel
        let body = S3Body(request.body, decoder: decoder, checks: checks, length: length) {
            guard waits else { return }
            try? await channel.writeAndFlush(HTTPResponsePart.head(HTTPResponse(status: .continue)))
        }
        return (body, length)
    }

    // MARK: Answers

    private func refuse(_ error: S3Error, _ request: Request, _ requestID: String) -> Response {
        let hasBody = request.method != .head && error.status != 304
        let bytes = hasBody ? error.body(resource: RequestTarget(request).path, requestID: requestID) : []
        var response = xml(bytes, status: HTTPResponse.Status(code: error.status))
        // A client that waits with its body, or is still sending it, is not listened to any more.
        if request.method == .put || request.method == .post { response.headers[.connection] = "close" }
        return response
    }

    func xml(_ bytes: [UInt8], status: HTTPResponse.Status = .ok) -> Response {
        var fields = HTTPFields()
        if !bytes.isEmpty { fields[.contentType] = "application/xml" }
        return Response(status: status, headers: fields, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    func empty(_ status: HTTPResponse.Status) -> Response { Response(status: status) }
}

extension HTTPField.Name {
    static var requestID: HTTPField.Name { HTTPField.Name("x-amz-request-id") ?? .server }
}
