//  Answers, and what several of them say in the same way.

import AWSProtocol
import HTTPTypes
import Hummingbird
import Model
import NIOCore
import Objects

let s3Namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

extension S3Responder {
    /// An answer that is a document of S3's.
    func document(
        _ root: String, namespace: String? = s3Namespace, _ write: (inout XMLWriter) throws -> Void
    ) rethrows -> Response {
        var out = XMLWriter()
        out.declaration()
        if let namespace { out.open(root, namespace: namespace) } else { out.open(root) }
        try write(&out)
        out.close(root)
        return xml(out.bytes)
    }

    func xml(_ bytes: [UInt8], status: HTTPResponse.Status = .ok) -> Response {
        var fields = HTTPFields()
        if !bytes.isEmpty { fields[.contentType] = "application/xml" }
        return Response(status: status, headers: fields, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }

    func empty(_ status: HTTPResponse.Status) -> Response { Response(status: status) }

    /// An answer about a version.
    func about(_ found: StoredObject, _ response: Response) -> Response {
        var response = response
        response.headers[.versionID] = found.shownVersion?.spelled
        return response
    }

    /// An answer about a version that the call has made.
    func made(_ stored: StoredObject, _ response: Response) -> Response {
        var response = response
        response.headers[.versionID] = stored.newVersion?.spelled
        return response
    }

    /// Accounts as answers show them.
    func shown(_ accounts: Set<ID<Account>>) async throws(Fault) -> [ID<Account>: ShownAccount] {
        var shown: [ID<Account>: ShownAccount] = [:]
        for account in accounts { shown[account] = try await objects.shown(account) }
        return shown
    }
}

extension XMLWriter {
    /// `<ID>…</ID><DisplayName>…</DisplayName>`
    mutating func names(of account: ShownAccount?) {
        element("ID", account?.id)
        element("DisplayName", account?.displayName)
    }

    /// An owner, or who else is named so.
    mutating func element(_ name: StaticString, _ account: ShownAccount?) {
        guard let account else { return }
        open(name)
        names(of: account)
        close(name)
    }

    /// `<ChecksumCRC32>…</ChecksumCRC32>`
    ///
    /// - Parameter checksums: In Base64, by header.
    mutating func elements(_ checksums: [String: String]) {
        for algorithm in ChecksumAlgorithm.allCases { element(algorithm.element, checksums[algorithm.header]) }
    }
}
