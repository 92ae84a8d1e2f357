//  What can be set for a bucket by a document in XML. Each has a form: how it is read, written and kept.

import AWSProtocol
import Hummingbird
import Model
import ObjectStorage
import Objects

/// A part of what is set for a bucket, by its sub-resource's name.
enum BucketSetting: String, Sendable, Hashable, CaseIterable {
    case accelerate
    case cors
    case encryption
    case lifecycle
    case logging
    case notification
    case objectLock = "object-lock"
    case ownershipControls
    case publicAccessBlock
    case replication
    case requestPayment
    case tagging
    case versioning
    case website

    /// As operations' names have it.
    var name: String {
        switch self {
        case .objectLock: "ObjectLockConfiguration"
        case .lifecycle: "LifecycleConfiguration"
        default: rawValue.prefix(1).uppercased() + rawValue.dropFirst()
        }
    }

    var canBeDeleted: Bool {
        switch self {
        case .cors, .encryption, .lifecycle, .ownershipControls, .publicAccessBlock, .replication, .tagging, .website: true
        case .accelerate, .logging, .notification, .objectLock, .requestPayment, .versioning: false
        }
    }

    var form: any SettingForm.Type {
        switch self {
        case .accelerate: AccelerateForm.self
        case .cors: CORSForm.self
        case .encryption: EncryptionForm.self
        case .lifecycle: LifecycleForm.self
        case .logging: LoggingForm.self
        case .notification: NotificationForm.self
        case .objectLock: ObjectLockForm.self
        case .ownershipControls: OwnershipForm.self
        case .publicAccessBlock: PublicAccessForm.self
        case .replication: ReplicationForm.self
        case .requestPayment: RequestPaymentForm.self
        case .tagging: BucketTaggingForm.self
        case .versioning: VersioningForm.self
        case .website: WebsiteForm.self
        }
    }
}

/// How a setting is asked for and answered.
protocol SettingForm {
    associatedtype Value: Sendable

    /// The element that the document is.
    static var root: String { get }
    static var readAction: ObjectAction { get }
    static var writeAction: ObjectAction { get }
    static var deleteAction: ObjectAction { get }
    /// What is set; nil where nothing is.
    static func value(in settings: BucketSettings) -> Value?
    /// What is answered where nothing is set; nil: an empty document.
    static var absence: S3Error? { get }

    /// Reads the document's elements.
    ///
    /// - Returns: Nil for what takes the setting off.
    static func read(_ document: XMLElement) throws -> Value?
    static func write(_ value: Value, to out: inout XMLWriter)
    /// Keeps what was read; nil takes the setting off.
    static func keep(_ value: Value?, of bucket: String, by call: S3Call, in objects: ObjectsService) async throws(Fault)
}

extension SettingForm {
    static var deleteAction: ObjectAction { writeAction }
    static var absence: S3Error? { nil }
}

/// A setting that no other one has a word in.
protocol PlainSettingForm: SettingForm {
    static var part: any WritableKeyPath<BucketSettings, Value?> & Sendable { get }
}

extension PlainSettingForm {
    static func value(in settings: BucketSettings) -> Value? { settings[keyPath: part] }

    static func keep(_ value: Value?, of bucket: String, by call: S3Call, in objects: ObjectsService) async throws(Fault) {
        let part = part
        try await objects.update(bucket, for: value == nil ? deleteAction : writeAction, by: call.caller) {
            settings throws(Fault) in
            settings[keyPath: part] = value
        }
    }
}

extension S3Responder {
    func getBucketSetting(_ bucket: String, _ setting: BucketSetting, _ call: S3Call) async throws -> Response {
        try await show(setting.form, bucket, call)
    }

    private func show<Form: SettingForm>(_ form: Form.Type, _ bucket: String, _ call: S3Call) async throws -> Response {
        let settings = try await objects.settings(of: bucket, for: form.readAction, by: call.caller)
        let value = form.value(in: settings)
        if value == nil, let absence = form.absence { throw absence }
        return document(form.root) { out in
            if let value { form.write(value, to: &out) }
        }
    }

    func putBucketSetting(_ bucket: String, _ setting: BucketSetting, _ call: S3Call) async throws -> Response {
        try await take(setting.form, bucket, call)
    }

    private func take<Form: SettingForm>(_ form: Form.Type, _ bucket: String, _ call: S3Call) async throws -> Response {
        // Swift 6.3 does not compile a local of the form's own type here when it optimizes.
        try await form.keep(
            try await asked(call, by: .bucket(bucket, form.writeAction)) { try form.read(try await call.document(form.root)) },
            of: bucket, by: call, in: objects)
        return empty(.ok)
    }

    func deleteBucketSetting(_ bucket: String, _ setting: BucketSetting, _ call: S3Call) async throws -> Response {
        try await remove(setting.form, bucket, call)
    }

    private func remove<Form: SettingForm>(_ form: Form.Type, _ bucket: String, _ call: S3Call) async throws -> Response {
        _ = try await objects.settings(of: bucket, for: form.deleteAction, by: call.caller)
        try await form.keep(nil, of: bucket, by: call, in: objects)
        return empty(.noContent)
    }
}
