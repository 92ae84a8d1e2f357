//  The pages that a website's visitors are shown where its owner has none for the occasion.

import AWSProtocol
import HTTPTypes
import Hummingbird

/// A refusal, as a page in HTML.
struct WebsiteErrorPage: Sendable {
    let error: S3Error
    /// What the owner's own page for it was refused for, where there is one.
    var documentError: S3Error?
    let requestID: String

    var status: HTTPResponse.Status {
        let status = HTTPResponse.Status(code: error.status)
        return WebsiteErrorPage.statuses.first { $0 == status } ?? status
    }

    /// With their reasons in words, which titles show.
    private static let statuses: [HTTPResponse.Status] = [
        .badRequest, .forbidden, .notFound, .methodNotAllowed, .conflict, .preconditionFailed, .rangeNotSatisfiable,
        .internalServerError, .notImplemented, .serviceUnavailable,
    ]

    var html: [UInt8] {
        let title = "\(error.status) \(status.reasonPhrase)"
        var out = XMLWriter(capacity: 512)
        out.open("html")
        out.open("head")
        out.element("title", title)
        out.close("head")
        out.open("body")
        out.element("h1", title)
        out.open("ul")
        describe(error, in: &out)
        out.element("li", "RequestId: \(requestID)")
        out.close("ul")
        if let documentError {
            out.element("h3", "An Error Occurred While Attempting to Retrieve a Custom Error Document")
            out.open("ul")
            describe(documentError, in: &out)
            out.close("ul")
        }
        out.close("body")
        out.close("html")
        return out.bytes
    }

    private func describe(_ error: S3Error, in out: inout XMLWriter) {
        out.element("li", "Code: \(error.code.name)")
        out.element("li", "Message: \(error.message)")
        for detail in error.details { out.element("li", "\(detail.name): \(detail.text)") }
    }
}
