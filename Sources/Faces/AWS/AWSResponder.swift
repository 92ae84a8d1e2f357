//  One call, from its bytes to the answer's, in a straight line: limits, body, signature, caller,
//  operation, answer.

import AWSProtocol
import Authority
import Crypto
import EC2Model
import HTTPTypes
import Hummingbird
import Identity
import Listening
import Logging
import Model
import NIOCore
import S3
import STSModel
import Store

/// Answers every call of the face.
struct AWSResponder: HTTPResponder {
    typealias Context = HTTPConnection

    let configuration: AWSFaceConfiguration
    let identity: IdentityService
    let ec2: EC2Face
    /// The object store, which lives under the same address.
    let s3: S3Face?
    let readiness: ReadinessCheck
    let chance: Chance
    let logger: Logger
    let meters = FaceMeters()
    private let replays: ReplayGuard
    private let signingKeys = SignatureV4.SigningKeys()
    private let byAddress: RateLimiter
    private let byKey: RateLimiter

    init(
        configuration: AWSFaceConfiguration, identity: IdentityService, ec2: EC2Face, s3: S3Face?,
        readiness: @escaping ReadinessCheck, chance: Chance, logger: Logger
    ) {
        self.configuration = configuration
        self.identity = identity
        self.ec2 = ec2
        self.s3 = s3
        self.readiness = readiness
        self.chance = chance
        self.logger = logger
        let rate = RateLimiter.Rate(perSecond: configuration.callsPerSecond, burst: configuration.callsBurst)
        byAddress = RateLimiter(rate)
        byKey = RateLimiter(rate)
        replays = ReplayGuard(grace: configuration.repetitionGrace)
    }

    func respond(to request: Request, context: HTTPConnection) async throws -> Response {
        let target = RequestTarget(request)
        // Until the signature is read: who answers, and the words of its refusal.
        let service = AWSService.of(
            scope: AWSService.scope(header: request.headers[.authorization], query: target.query), path: target.path,
            host: request.head.authority)
        let asksHealth = request.method == .get && AWSResponder.healthPaths.contains(target.path)
        if service == .s3, let s3, !asksHealth { return await s3.respond(to: request, context: context) }
        // A page of machines takes longer to write than the connection's loop can be held up for.
        return await withTaskExecutorPreference(globalConcurrentExecutor) {
            await respond(
                to: request, Exchange(request, target, service, context, requestID: requestID(), now: chance.now()))
        }
    }

    private func respond(to request: Request, _ exchange: consuming Exchange) async -> Response {
        var exchange = exchange
        if request.method == .get, let health = await health(exchange) { return health }
        let beginning = ContinuousClock.now
        let response: Response
        let code: String
        do throws(Fault) {
            let body = try await answer(request, &exchange)
            logger.debug("call", metadata: exchange.metadata)
            (response, code) = (self.response(.ok, body, exchange.requestID), "OK")
        } catch {
            (response, code) = refuse(error, exchange)
        }
        let operation = exchange.operation ?? "unknown"
        meters.calls.count(exchange.service.label, operation, code)
        meters.spans.record(exchange.service.label, operation, duration: ContinuousClock.now - beginning)
        return response
    }

    private static let livePath = "/health/live"
    private static let readyPath = "/health/ready"
    private static let healthPaths: Set = [livePath, readyPath]

    /// What load balancers ask, unsigned: `/health/live` whether the process answers, `/health/ready`
    /// whether it can serve calls. They learn nothing else here.
    private func health(_ exchange: Exchange) async -> Response? {
        let isWell: Bool
        switch exchange.path {
        case AWSResponder.livePath: isWell = true
        case AWSResponder.readyPath: isWell = await readiness() == nil
        default: return nil
        }
        guard byAddress.admit(exchange.sourceAddress, now: exchange.now) else { return refuse(tooFast, exchange).response }
        var fields = HTTPFields()
        fields[.contentType] = "text/plain;charset=UTF-8"
        return Response(
            status: isWell ? .ok : .serviceUnavailable, headers: fields,
            body: ResponseBody(byteBuffer: ByteBuffer(string: isWell ? "ok\n" : "not ready\n")))
    }

    /// The body of the answer of a call that succeeds.
    private func answer(_ request: Request, _ exchange: inout Exchange) async throws(Fault) -> [UInt8] {
        guard byAddress.admit(exchange.sourceAddress, now: exchange.now) else { throw tooFast }
        guard request.method == .post || request.method == .get else {
            throw Fault(.malformedRequest, "The method \(request.method.rawValue.prefix(16)) is not supported.")
        }
        let body = try await read(request, upTo: configuration.bodyBytesMax)
        let signed = SignatureV4.Request(exchange, body: body)
        let claim: SignatureV4.Claim
        do throws(SignatureV4.Refusal) { claim = try SignatureV4.Claim(signed) } catch { throw exchange.refused(error) }
        exchange.service = .of(scope: claim.scope.service, path: exchange.path, host: exchange.host)
        let session = try await session(claim, signed, &exchange)
        exchange.principal = session.principal.name.description
        return try await perform(body, session, &exchange)
    }

    /// The caller, once the signature is found to be theirs.
    private func session(
        _ claim: SignatureV4.Claim, _ signed: SignatureV4.Request, _ exchange: inout Exchange
    ) async throws(Fault) -> Session {
        // A stranger who knows a key's public half must not be able to use up its calls: looked at
        // before, taken after.
        guard byKey.wouldAdmit(claim.accessKey, now: exchange.now) else { throw tooFast }
        // Temporary credentials have keys of their own, which are not known here.
        guard let known = try await identity.identify(claim.accessKey), claim.securityToken == nil else {
            throw exchange.refused(.invalidClientTokenId)
        }
        do throws(SignatureV4.Refusal) {
            exchange.verified = try claim.verify(
                signed, secret: known.secret, now: exchange.now, pathStyle: .normalized, keys: signingKeys)
        } catch { throw exchange.refused(error) }
        guard byKey.admit(claim.accessKey, now: exchange.now) else { throw tooFast }
        return known.session(
            Circumstances(
                now: exchange.now, sourceAddress: exchange.sourceAddress.isEmpty ? nil : exchange.sourceAddress,
                secureTransport: configuration.listener.security != nil, userAgent: exchange.userAgent, region: configuration.region
            ))
    }

    private var tooFast: Fault { Fault(.rateExceeded, "Request limit exceeded.") }

    private func perform(_ body: [UInt8], _ session: Session, _ exchange: inout Exchange) async throws(Fault) -> [UInt8] {
        if let name = exchange.service.unspoken {
            throw Fault(.notSupported, "The service '\(name)' is not offered by this cloud.")
        }
        var form = try FormParameters(Array(exchange.query.utf8))
        try form.append(body)
        if exchange.service == .ec2 { OlderVersions.adapt(&form) }
        let query = try Query(form, exchange.service.dialect)
        exchange.action = query.action
        let isDryRun = form.parameters.contains { $0.name == "DryRun" && ["true", "1"].contains($0.value.lowercased()) }
        let call = Call(
            session: session, request: exchange.requestID, now: exchange.now, seed: chance.bits(), isDryRun: isDryRun)
        switch exchange.service {
        case .sts:
            let operation = try query.operation(among: STS.Operation.self)
            exchange.operation = operation.rawValue
            return try await STS.dispatch(operation, query, to: STSFace(), in: call, requestID: exchange.requestID)
        default:
            let operation = try query.operation(among: EC2.Operation.self)
            exchange.operation = operation.rawValue
            // A token makes a repetition the same call, which is answered as the first was.
            let isOnce =
                ReplayGuard.changes(operation.rawValue) && !isDryRun && form.parameters.allSatisfy { $0.name != "ClientToken" }
            if isOnce, let verified = exchange.verified, !replays.admits(verified, now: exchange.now) {
                throw exchange.refused(.replayed)
            }
            let context = EC2Call(call, form)
            let answer: [UInt8]
            if operation == .describeInstanceTypes, OlderVersions.isOlder(query.version) {
                answer = try await ec2.olderInstanceTypes(
                    query, namespace: EC2.namespace(version: query.version), requestID: exchange.requestID, context)
            } else {
                answer = try await EC2.dispatch(operation, query, to: ec2, in: context, requestID: exchange.requestID)
            }
            // Whoever only asks is told so by calls that change nothing, too.
            try call.endIfDryRun()
            return answer
        }
    }

    private func read(_ request: Request, upTo bytesMax: Int) async throws(Fault) -> [UInt8] {
        do {
            let buffer = try await request.body.collect(upTo: bytesMax)
            return Array(buffer.readableBytesView)
        } catch is NIOTooManyBytesError {
            throw Fault(.tooLarge, "The request is larger than \(bytesMax) bytes.")
        } catch {
            throw Fault(.malformedRequest, "The request's body could not be read.", because: error)
        }
    }

    // MARK: Answers

    private func refuse(_ fault: Fault, _ exchange: Exchange) -> (response: Response, code: String) {
        let dialect = exchange.service.dialect
        let error = exchange.refusal?.error(dialect) ?? AWSError(fault, dialect)
        var metadata = exchange.metadata
        metadata["code"] = .string(error.code)
        if let refusal = exchange.refusal { metadata["reason"] = .string(refusal.explanation) }
        if let cause = fault.cause { metadata["cause"] = .string(cause) }
        if error.isInternal { metadata["fault"] = .string(fault.description) }
        logger.log(level: error.isInternal ? .error : .debug, "\(error.message)", metadata: metadata)
        let body = error.body(dialect, namespace: exchange.service.namespace, requestID: exchange.requestID)
        return (response(HTTPResponse.Status(code: error.status), body, exchange.requestID), error.code)
    }

    private func response(_ status: HTTPResponse.Status, _ body: [UInt8], _ requestID: String) -> Response {
        var fields = HTTPFields()
        fields[.contentType] = "text/xml;charset=UTF-8"
        fields[.requestID] = requestID
        return Response(status: status, headers: fields, body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }

    /// A version 4 UUID (RFC 9562).
    private func requestID() -> String {
        let high = hexDigits(chance.bits() & ~0xf000 | 0x4000)
        let low = hexDigits(chance.bits() & ~(0b11 << 62) | 0b10 << 62)
        return "\(high.prefix(8))-\(high.dropFirst(8).prefix(4))-\(high.suffix(4))-\(low.prefix(4))-\(low.suffix(12))"
    }
}

/// What is known of a call while it is answered.
private struct Exchange {
    let requestID: String
    let now: Instant
    let method: String
    /// Percent-encoded as sent, without the query.
    let path: String
    let query: String
    let host: String?
    let headers: [(name: String, value: String)]
    let sourceAddress: String
    let userAgent: String?
    var service: AWSService
    /// As the caller wrote it.
    var action: String?
    /// The action, once it is known to be one.
    var operation: String?
    var principal: String?
    /// The signature, once it is found good.
    var verified: SignatureV4.Verified?
    /// Why the signature was refused, for the words that a service has of its own for it.
    private(set) var refusal: SignatureV4.Refusal?

    init(
        _ request: Request, _ target: RequestTarget, _ service: AWSService, _ context: HTTPConnection, requestID: String,
        now: Instant
    ) {
        self.requestID = requestID
        self.now = now
        self.service = service
        method = request.method.rawValue
        path = target.path
        query = target.query
        host = request.head.authority
        headers = request.signableFields
        sourceAddress = context.sourceAddress ?? ""
        userAgent = request.headers[.userAgent]
    }

    /// Notes the refusal of the signature; the fault ends the call.
    mutating func refused(_ refusal: SignatureV4.Refusal) -> Fault {
        self.refusal = refusal
        return refusal.fault
    }

    var metadata: Logger.Metadata {
        var metadata: Logger.Metadata = ["request": .string(requestID), "source": .string(sourceAddress)]
        if let action { metadata["action"] = .string(String(action.prefix(128))) }
        if let principal { metadata["principal"] = .string(principal) }
        return metadata
    }
}

extension SignatureV4.Request {
    fileprivate init(_ exchange: Exchange, body: [UInt8]) {
        self.init(
            method: exchange.method, rawPath: exchange.path, rawQuery: exchange.query, headers: exchange.headers,
            body: .hashed(hexDigits(SHA256.hash(data: body))))
    }
}

extension HTTPField.Name {
    /// What the SDKs show as the request's id.
    fileprivate static var requestID: HTTPField.Name { HTTPField.Name("x-amzn-RequestId") ?? .server }
}
