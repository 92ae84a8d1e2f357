//  Buckets' websites, under hosts of their own. Visitors are anonymous, whatever they send: they see what
//  everybody may read.

import Authority
import HTTPTypes
import Hummingbird
import Listening
import NIOCore
import ObjectStorage
import Objects

extension S3Responder {
    /// Answers with a page of a bucket's website, or with a page that says why there is none.
    func visitWebsite(_ bucket: String, _ request: Request, _ context: HTTPConnection, _ requestID: String) async -> Response {
        do {
            guard request.method == .get || request.method == .head else { throw S3Error.notAllowed }
            guard let site = try await objects.website(of: bucket) else { throw WebsiteForm.absence ?? .notAllowed }
            let target = RequestTarget(request)
            let visit = WebsiteVisit(
                site: site, scheme: isSecure ? "https" : "http", host: request.head.authority ?? "", path: target.path,
                query: target.query)
            let visitor = try WebsiteVisitor(
                bucket: bucket, request: request, requestID: requestID,
                circumstances: circumstances(of: request, context, chance.now()))
            return try await answerVisit(visit, to: visitor)
        } catch {
            var refusal = S3Error(of: error)
            switch refusal.code {
            case .noSuchBucket, .noSuchWebsiteConfiguration: refusal.details.append(.init(name: "BucketName", text: bucket))
            case .methodNotAllowed:
                refusal.details.append(.init(name: "Method", text: request.method.rawValue))
                refusal.details.append(.init(name: "ResourceType", text: "OBJECT"))
            default: break
            }
            return errorPage(WebsiteErrorPage(error: refusal, requestID: requestID), request)
        }
    }

    private func answerVisit(_ visit: WebsiteVisit, to visitor: WebsiteVisitor) async throws -> Response {
        switch visit.beginning {
        case .redirect(let address, let status): return redirect(to: address, status)
        case .errorDocument, .errorPage: throw S3Error.notAllowed
        case .read(let key):
            do { return try await read(key, visitor) } catch {
                return try await answerRefusal(of: visit, to: visitor, refused(error, key, visitor))
            }
        }
    }

    /// Answers where the object that the visitor wants cannot be had.
    private func answerRefusal(of visit: WebsiteVisit, to visitor: WebsiteVisitor, _ refusal: S3Error) async throws -> Response {
        if refusal.status == 404 || refusal.status == 403, let index = visit.folderIndex, await isThere(index, visitor),
            case .redirect(let address, let status) = visit.folder
        {
            return redirect(to: address, status)
        }
        var page = WebsiteErrorPage(error: refusal, requestID: visitor.requestID)
        switch visit.step(afterRefusal: refusal.status) {
        case .redirect(let address, let status): return redirect(to: address, status)
        case .read, .errorPage: break
        case .errorDocument(let key):
            do {
                var response = try await read(key, visitor.withoutConditions)
                response.status = page.status
                response.headers[.errorCode] = refusal.code.name
                response.headers[.errorMessage] = refusal.message
                return response
            } catch { page.documentError = refused(error, key, visitor) }
        }
        return errorPage(page, visitor.request)
    }

    /// The object, or where it sends its readers.
    private func read(_ key: ObjectKey, _ visitor: WebsiteVisitor) async throws -> Response {
        let call = try visitor.call
        let name = ObjectName(bucket: visitor.bucket, key: key)
        let response = try await visitor.request.method == .head ? headObject(name, call) : getObject(name, call)
        guard let address = response.headers[.websiteRedirectLocation] else { return response }
        return redirect(to: address, 301)
    }

    private func isThere(_ key: ObjectKey, _ visitor: WebsiteVisitor) async -> Bool {
        do { _ = try await objects.object(ObjectName(bucket: visitor.bucket, key: key), by: visitor.caller) } catch { return false }
        return true
    }

    private func refused(_ error: any Error, _ key: ObjectKey, _ visitor: WebsiteVisitor) -> S3Error {
        var refusal = S3Error(of: error)
        if refusal.isInternal {
            logger.error("\(refusal.message)", metadata: ["fault": "\(error)", "request": "\(visitor.requestID)"])
        }
        if refusal.code == .noSuchKey { refusal.details.append(.init(name: "Key", text: key.description)) }
        return refusal
    }

    private func redirect(to address: String, _ status: Int) -> Response {
        Response(status: HTTPResponse.Status(code: status), headers: [.location: address, .contentLength: "0"])
    }

    private func errorPage(_ page: WebsiteErrorPage, _ request: Request) -> Response {
        var fields: HTTPFields = [
            .contentType: "text/html; charset=utf-8", .errorCode: page.error.code.name, .errorMessage: page.error.message,
        ]
        if request.method == .head { return Response(status: page.status, headers: fields) }
        if request.method != .get { fields[.connection] = "close" }
        return Response(
            status: page.status, headers: fields, body: ResponseBody(byteBuffer: ByteBuffer(bytes: page.html)))
    }
}

/// Who looks at a website.
private struct WebsiteVisitor: Sendable {
    let bucket: String
    var request: Request
    let requestID: String
    let caller: Caller

    init(bucket: String, request: Request, requestID: String, circumstances: Circumstances) throws {
        self.bucket = bucket
        self.request = request
        self.requestID = requestID
        let conditions = S3Conditions(request: request, query: S3Query(""), authType: nil, signatureVersion: nil)
        caller = Caller(Session(anonymousIn: circumstances), condition: conditions.value)
    }

    /// A call that reads what the visitor looks at. Sub-resources and versions are not for visitors.
    var call: S3Call {
        get throws {
            let body = S3Body(request.body, decoder: nil, checks: try BodyChecks({ _ in nil }, payloadHash: nil), length: nil) {}
            return S3Call(
                caller: caller, request: request, query: S3Query(""), body: body, bodyLength: nil)
        }
    }

    /// The same visitor, who wants all of what is not what was asked for.
    var withoutConditions: WebsiteVisitor {
        var head = request.head
        for name in [HTTPField.Name.range, .ifMatch, .ifNoneMatch, .ifModifiedSince, .ifUnmodifiedSince, .ifRange] {
            head.headerFields[name] = nil
        }
        var visitor = self
        visitor.request = Request(head: head, body: request.body)
        return visitor
    }
}
