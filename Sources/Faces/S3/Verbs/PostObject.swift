//  PostObject: a form that a browser sends. It is a PutObject whose headers stand in the form's fields
//  and whose right to be stored stands in the form's policy.

import AWSProtocol
import Authority
import HTTPTypes
import Hummingbird
import Listening
import ObjectStorage
import Objects

extension S3Responder {
    /// The call that a form makes. Its fields are read; its file is the body.
    func formCall(
        to bucket: String, _ request: Request, _ query: S3Query, _ context: HTTPConnection, _ requestID: String
    ) async throws(S3Error) -> S3Call {
        let decoder = try FormDecoder(contentType: request.header("content-type"))
        await invite(request, context)
        let reader = FormReader(request.body, decoder)
        let (fields, fileName) = try await reader.readFields()
        let form = try PostForm(fields, fileName: fileName, bucket: bucket)
        let now = chance.now()
        let signed = try form.signature()
        let session = try await session(of: form, signed, reader, circumstances(of: request, context, now))
        var head = request.head
        head.headerFields = try form.uploadHeaders(of: request.headers)
        let upload = Request(head: head, body: RequestBody(asyncSequence: reader))
        try BodyChecks.refuseUnknown(upload.headers.lazy.map(\.name.canonicalName))
        let checks = try BodyChecks({ upload.header($0) }, payloadHash: nil)
        let conditions = S3Conditions(
            request: upload, query: query, authType: signed.map { _ in "POST" }, signatureVersion: signed?.signature.version)
        return S3Call(
            caller: Caller(session, requestID: requestID, condition: conditions.value), request: upload, query: query,
            body: S3Body(upload.body, decoder: nil, checks: checks, length: nil) {}, bodyLength: nil, form: form)
    }

    /// Whose form it is, once signature and policy are found good.
    private func session(
        of form: PostForm, _ signed: (policy: String, signature: PostForm.Signature)?, _ reader: FormReader,
        _ circumstances: Circumstances
    ) async throws(S3Error) -> Session {
        guard let (text, signature) = signed else { return Session(anonymousIn: circumstances) }
        let known = try await identify(signature.accessKey, in: signature.scope, securityToken: form.securityToken)
        switch signature {
        case .version4(let claim):
            do throws(SignatureV4.Refusal) { try claim.verify(text, secret: known.secret) } catch { throw S3Error(error) }
        case .version2(_, let signature):
            let whole = try known.secret.whole()
            guard SignatureV2.isValid(signature, of: text, secret: whole) else { throw S3Error(.signatureDoesNotMatch()) }
        }
        let policy = try PostPolicy(base64: text)
        try policy.check(form.values, now: circumstances.now)
        reader.limit(to: policy.sizes)
        return known.session(circumstances)
    }

    func postObject(_ call: S3Call) async throws -> Response {
        guard let form = call.form else { throw S3Error.invalidRequest("The request is no form.") }
        var response = try await putObject(ObjectName(bucket: form.bucket, key: form.key), call)
        let tag = response.headers[.eTag] ?? ""
        if let address = form.redirect(entityTag: tag) {
            response.status = .seeOther
            response.headers[.location] = address
            return response
        }
        let location = self.location(of: ObjectName(bucket: form.bucket, key: form.key), call)
        response.status = form.successStatus
        response.headers[.location] = location
        guard response.status == .created else { return response }
        let document = document("PostResponse", namespace: nil) { out in
            out.element("Location", location)
            out.element("Bucket", form.bucket)
            out.element("Key", form.key.description)
            out.element("ETag", tag)
        }
        response.body = document.body
        response.headers.append(contentsOf: document.headers)
        return response
    }
}
