//  GetObjectRetention, PutObjectRetention, GetObjectLegalHold, PutObjectLegalHold, and locks in the headers
//  of other calls.

import AWSProtocol
import Hummingbird
import Model
import ObjectStorage
import Objects

private let noLock = S3Error(.noSuchObjectLockConfiguration, "The specified object does not have a ObjectLock configuration")

extension S3Responder {
    func getObjectRetention(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        guard let retention = try await objects.retention(of: name, by: call.caller) else { throw noLock }
        return document("Retention") { out in
            out.element("Mode", retention.mode.rawValue)
            out.element("RetainUntilDate", retention.until)
        }
    }

    func putObjectRetention(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        let retention = try await asked(call, by: .object(name, .putRetention)) { try await call.retention() }
        try await objects.setRetention(retention, of: name, bypassing: call.bypassesGovernance, by: call.caller)
        return empty(.ok)
    }

    func getObjectLegalHold(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        guard let isHeld = try await objects.isHeld(name, by: call.caller) else { throw noLock }
        return document("LegalHold") { out in out.element("Status", isHeld ? "ON" : "OFF") }
    }

    func putObjectLegalHold(_ name: ObjectName, _ call: S3Call) async throws -> Response {
        let isHeld = try await asked(call, by: .object(name, .putLegalHold)) { try await call.legalHold() }
        try await objects.setHeld(isHeld, of: name, by: call.caller)
        return empty(.ok)
    }
}

extension S3Call {
    /// The retention in the body. An empty document takes it off.
    fileprivate func retention() async throws -> Retention? {
        let document = try await document("Retention", bytesMax: S3Call.noteBytesMax)
        if document.children.isEmpty { return nil }
        guard let mode = document["Mode"].flatMap({ Retention.Mode(rawValue: $0.text) }),
            let until = document["RetainUntilDate"].flatMap({ Instant(iso8601: $0.text) })
        else { throw XMLElement.malformed }
        return Retention(mode: mode, until: until)
    }

    fileprivate func legalHold() async throws -> Bool {
        switch try await document("LegalHold", bytesMax: S3Call.noteBytesMax)["Status"]?.text {
        case "ON": return true
        case "OFF": return false
        default: throw XMLElement.malformed
        }
    }

    var bypassesGovernance: Bool { header("x-amz-bypass-governance-retention")?.lowercased() == "true" }
}

extension Request {
    /// The lock that headers ask for a new version.
    func requestedLock() throws(S3Error) -> (retention: Retention?, isHeld: Bool?) {
        var isHeld: Bool?
        switch header("x-amz-object-lock-legal-hold") {
        case nil: break
        case "ON": isHeld = true
        case "OFF": isHeld = false
        default: throw S3Error.invalidArgument("Legal Hold must be either of 'ON' or 'OFF'")
        }
        let mode = header("x-amz-object-lock-mode")
        let until = header("x-amz-object-lock-retain-until-date")
        guard mode != nil || until != nil else { return (nil, isHeld) }
        guard let mode, let until else {
            throw S3Error.invalidArgument("x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied")
        }
        guard let known = Retention.Mode(rawValue: mode) else { throw S3Error.invalidArgument("Unknown wormMode directive.") }
        guard let instant = Instant(iso8601: until) else {
            throw S3Error.invalidArgument("The retain until date must be provided in ISO 8601 format")
        }
        return (Retention(mode: known, until: instant), isHeld)
    }
}
