//  Records calls of buckets whose owners want that.

import AWSProtocol
import Authority
import HTTPTypes
import Hummingbird
import Listening
import Model
import ObjectStorage
import Objects

/// What becomes known of a call while it is answered.
struct S3Trace: Sendable {
    let requestID: String
    let begun: Instant
    let beginning = ContinuousClock.now
    var operation: S3Operation?
    /// Nil until it is known who calls.
    var session: Session?
}

extension S3Responder {
    /// Records a call in its bucket's access log, where there is one, once its answer is sent.
    ///
    /// - Parameter code: `OK`, or the error's.
    func recorded(
        _ response: Response, _ trace: S3Trace, code: String, _ request: Request, _ context: HTTPConnection
    ) async -> Response {
        guard let operation = trace.operation, let name = operation.bucket,
            let (bucket, logging) = await objects.accessLogging(of: name)
        else { return response }
        var record = AccessRecord(trace, operation, of: bucket, request, response)
        record.remoteAddress = context.sourceAddress
        record.errorCode = code == "OK" ? nil : code
        let sent = request.method == .head ? 0 : response.body.contentLength.map(Int64.init)
        switch operation {
        case .getObject where request.method == .get, .visitWebsite where request.method == .get:
            return recordedLater(response, record, trace, sent, of: bucket, logging)
        default:
            record.bytesSent = sent
            accessLogs.add(record.line, at: record.time, of: bucket, logging)
            return response
        }
    }

    /// Records a call whose answer takes its time.
    private func recordedLater(
        _ response: Response, _ record: AccessRecord, _ trace: S3Trace, _ sent: Int64?, of bucket: Bucket, _ logging: AccessLogging
    ) -> Response {
        let body = response.body
        let accessLogs = accessLogs
        var response = response
        response.body = ResponseBody(contentLength: body.contentLength) { writer in
            var record = record
            defer {
                record.totalMilliseconds = trace.millisecondsPassed
                accessLogs.add(record.line, at: record.time, of: bucket, logging)
            }
            try await body.write(writer)
            record.bytesSent = sent
        }
        return response
    }
}

extension S3Trace {
    fileprivate var millisecondsPassed: Int64 {
        let passed = (ContinuousClock.now - beginning).components
        return passed.seconds * 1000 + passed.attoseconds / 1_000_000_000_000_000
    }
}

extension AccessRecord {
    init(_ trace: S3Trace, _ operation: S3Operation, of bucket: Bucket, _ request: Request, _ response: Response) {
        let passed = trace.millisecondsPassed
        let target = RequestTarget(request)
        let method = request.method.rawValue
        self.init(
            owner: ObjectsService.canonicalID(of: bucket.account), bucket: bucket.name, time: trace.begun,
            requestID: trace.requestID, operation: operation.recorded(method: method),
            requestLine: "\(method) \(target.path)\(target.query.isEmpty ? "" : "?\(target.query)") HTTP/1.1",
            status: response.status.code, totalMilliseconds: passed, turnaroundMilliseconds: passed,
            referrer: request.header("referer"), userAgent: request.headers[.userAgent],
            version: response.headers[.versionID] ?? S3Query(target.query)["versionId"], host: request.head.authority)
        requester = trace.session?.recorded
        if case .visitWebsite = operation {
            key = String(target.path.dropFirst())
        } else {
            key = operation.object?.key.path
        }
        objectBytes = AccessRecord.objectBytes(operation, request, response)
        (signature, authentication) = AccessRecord.signature(of: request.headers[.authorization], query: target.query)
    }

    /// How large the object is that a call is about, as far as its heads say.
    private static func objectBytes(_ operation: S3Operation, _ request: Request, _ response: Response) -> Int64? {
        switch operation {
        case .putObject, .uploadPart:
            return (request.header("x-amz-decoded-content-length") ?? request.header("content-length")).flatMap { Int64($0) }
        case .getObject, .headObject, .visitWebsite:
            guard response.status == .ok || response.status == .partialContent else { return nil }
            if let range = response.headers[.contentRange] { return range.split(separator: "/").last.flatMap { Int64($0) } }
            return response.headers[.contentLength].flatMap { Int64($0) }
        default: return nil
        }
    }

    private static func signature(of header: String?, query: String) -> (version: String?, place: String?) {
        if let header { return (header.hasPrefix("AWS ") ? "SigV2" : "SigV4", "AuthHeader") }
        if query.contains("X-Amz-Signature=") { return ("SigV4", "QueryString") }
        return query.contains("AWSAccessKeyId=") ? ("SigV2", "QueryString") : (nil, nil)
    }
}

extension Session {
    /// As records name who calls; nil for who does not say.
    fileprivate var recorded: String? {
        guard let account else { return nil }
        return principal.kind == .root ? ObjectsService.canonicalID(of: account.id) : principal.name.description
    }
}
