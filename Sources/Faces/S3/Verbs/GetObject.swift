//  GetObject and HeadObject.

import AWSProtocol
import HTTPTypes
import Hummingbird
import Listening
import Model
import NIOCore
import Objects

extension S3Responder {
    func getObject(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        try checkReading(call)
        let asked = try WantedBytes(call)
        let (found, range, source) = try await objects.read(
            name, conditions: ObjectConditions(of: call.request), customer: try call.request.customerKey(), by: call.caller
        ) { found throws(Fault) in
            // Nothing is read where the range is not there.
            try await stretch(asked.ifUnreplaced(found, call), of: found) ?? 0..<0
        }
        if found.isNotModified { return notModified(found) }
        let wanted = asked.ifUnreplaced(found, call)
        if wanted != .whole, range.isEmpty, found.version.size > 0 || wanted != .part(1) { throw unsatisfiable(wanted, found) }
        let sums = try await checksums(of: found, wanted, range, call)
        let (status, fields) = head(of: found, name, wanted, range, sums, call)
        // The head is not sent before the first bytes are found good.
        let bytes = source.makeAsyncIterator()
        let first = try await bytes.next()
        let length = Int(range.upperBound - range.lowerBound)
        // What is short goes out in one piece with its head.
        if let first, first.readableBytes == length {
            return Response(status: status, headers: fields, body: ResponseBody(byteBuffer: first))
        }
        return Response(
            status: status, headers: fields,
            body: ResponseBody(contentLength: length) { writer in
                if let first { try await writer.write(first) }
                while let next = try await bytes.next() { try await writer.write(next) }
                try await writer.finish(nil)
            })
    }

    func headObject(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        try checkReading(call)
        let found = try await objects.object(
            name, conditions: ObjectConditions(of: call.request), customer: try call.request.customerKey(), by: call.caller)
        if found.isNotModified { return notModified(found) }
        let wanted = try WantedBytes(call).ifUnreplaced(found, call)
        guard let range = try await stretch(wanted, of: found) else { throw unsatisfiable(wanted, found) }
        let sums = try await checksums(of: found, wanted, range, call)
        let (status, fields) = head(of: found, name, wanted, range, sums, call)
        return Response(status: status, headers: fields)
    }

    private func notModified(_ found: StoredObject) -> Response {
        var response = about(found, empty(.notModified))
        response.headers[.eTag] = "\"\(found.version.entityTag)\""
        response.headers[.lastModified] = HTTPDate.text(found.version.modified)
        for name in ["cache-control", "expires"] { response.headers.set(name, found.version.detail.headers[name]) }
        return response
    }

    /// Which bytes are wanted of an object; nil where it has none of them.
    private func stretch(_ wanted: WantedBytes, of found: StoredObject) async throws(Fault) -> Range<Int64>? {
        switch wanted {
        case .whole: return 0..<found.version.size
        case .range(let range): return range.within(found.version.size)
        case .part(let number):
            guard found.version.detail.parts != nil else { return number == 1 ? 0..<found.version.size : nil }
            return try await objects.parts(of: found).first { $0.number == number }?.range
        }
    }

    /// The checksums that a reader asks for: those of the whole, or of the part; none of another stretch.
    private func checksums(
        of found: StoredObject, _ wanted: WantedBytes, _ range: Range<Int64>, _ call: S3Call
    ) async throws(Fault) -> [String: String] {
        guard call.header("x-amz-checksum-mode")?.uppercased() == "ENABLED" else { return [:] }
        if case .part(let number) = wanted, found.version.detail.parts != nil {
            return try await objects.parts(of: found).first { $0.number == number }?.checksums ?? [:]
        }
        return range == 0..<found.version.size ? found.version.detail.checksums : [:]
    }

    private func head(
        of found: StoredObject, _ name: ObjectName, _ wanted: WantedBytes, _ range: Range<Int64>, _ checksums: [String: String],
        _ call: S3Call
    ) -> (status: HTTPResponse.Status, fields: HTTPFields) {
        let version = found.version
        var fields = HTTPFields()
        fields[.versionID] = found.shownVersion?.spelled
        fields[.eTag] = "\"\(version.entityTag)\""
        fields[.lastModified] = HTTPDate.text(version.modified)
        fields[.acceptRanges] = "bytes"
        fields[.contentType] = version.detail.headers["content-type"] ?? "binary/octet-stream"
        for (name, value) in version.detail.headers where name != "content-type" {
            fields.set(name, value)
        }
        for (name, value) in version.detail.metadata { fields.set("x-amz-meta-\(name)", value) }
        if let tags = version.detail.tags { fields[.taggingCount] = String(tags.count) }
        if let retention = version.detail.retention {
            fields[.lockMode] = retention.mode.rawValue
            fields[.lockUntil] = retention.until.iso8601(milliseconds: true)
        }
        if let isHeld = version.detail.isHeld { fields[.legalHold] = isHeld ? "ON" : "OFF" }
        fields[.storageClass] = version.detail.storageClass
        describe(version.detail.encryption, call.request, in: &fields)
        if name.version == nil { fields[.expiration] = expiry(of: name.key, found) }
        override(&fields, call.query)
        fields[.contentLength] = String(range.upperBound - range.lowerBound)
        for (name, value) in checksums { fields.set(name, value) }
        if !checksums.isEmpty { fields[.checksumType] = version.detail.shownChecksumType }
        if case .part = wanted { fields[.partsCount] = version.detail.parts.map(String.init) }
        guard wanted != .whole else { return (.ok, fields) }
        // Nothing at all has no range.
        if !range.isEmpty { fields[.contentRange] = "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(version.size)" }
        return (.partialContent, fields)
    }

    /// `response-content-type` and its like.
    private static let overrides: [(parameter: String, field: HTTPField.Name)] = [
        ("response-content-type", .contentType), ("response-content-language", .contentLanguage),
        ("response-expires", .expires), ("response-cache-control", .cacheControl),
        ("response-content-disposition", .contentDisposition), ("response-content-encoding", .contentEncoding),
    ]

    private func override(_ fields: inout HTTPFields, _ query: S3Query) {
        for (parameter, name) in S3Responder.overrides { if let value = query[parameter] { fields[name] = value } }
    }

    /// Refuses headers and parameters that readers, or those who have not signed, may not send.
    private func checkReading(_ call: S3Call) throws(S3Error) {
        guard call.request.headers[.encryption] == nil else {
            throw S3Error.invalidArgument("x-amz-server-side-encryption header is not supported for this operation.")
        }
        guard call.caller.account == nil, S3Responder.overrides.contains(where: { call.query.has($0.parameter) }) else { return }
        throw S3Error.invalidRequest("Request specific response headers cannot be used for anonymous GET requests.")
    }

    private func unsatisfiable(_ wanted: WantedBytes, _ found: StoredObject) -> S3Error {
        if case .part = wanted { return S3Error(.invalidPartNumber, "The requested partnumber is not satisfiable") }
        var error = S3Error(.invalidRange, "The requested range is not satisfiable")
        error.fields["content-range"] = "bytes */\(found.version.size)"
        if case .range(let range) = wanted { error.details.append(.init(name: "RangeRequested", text: range.text)) }
        error.details.append(.init(name: "ActualObjectSize", text: String(found.version.size)))
        return error
    }
}

/// Which of an object's bytes a call wants.
private enum WantedBytes: Sendable, Hashable {
    case whole
    case range(ByteRange)
    case part(Int)

    init(_ call: S3Call) throws {
        let range = call.header("range").flatMap(ByteRange.init)
        guard let text = call.query["partNumber"] else {
            self = range.map(WantedBytes.range) ?? .whole
            return
        }
        guard range == nil else {
            throw S3Error.invalidRequest("Cannot specify both Range header and partNumber query parameter")
        }
        guard let number = Int(text), (1...ObjectsService.partNumberMax).contains(number) else {
            throw Fault.badPartNumber
        }
        self = .part(number)
    }

    /// The whole where a range is wanted only of a version that is no longer there (RFC 9110, section 13.1.5).
    func ifUnreplaced(_ found: StoredObject, _ call: S3Call) -> WantedBytes {
        guard case .range = self, let validator = call.header("if-range") else { return self }
        if let date = HTTPDate.parse(validator) { return date.seconds == found.version.modified.seconds ? self : .whole }
        return validator == "\"\(found.version.entityTag)\"" ? self : .whole
    }
}
