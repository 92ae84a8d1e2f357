//  What comes first where a call is wrong in more than one way: who may not make it is told that, and not what
//  is wrong with what it says.

import Model
import Objects

/// What a caller must be allowed to be told more than that it may not.
enum S3Right: Sendable {
    /// Something done to a bucket.
    case bucket(String, ObjectAction)
    /// Something done to a key, whether or not anything is there.
    case key(ObjectName, ObjectAction)
    /// Something done to an object that is there.
    case object(ObjectName, ObjectAction)
}

extension S3Responder {
    /// Reads a body that says what is to be done, from who may have it done.
    func asked<Said>(_ call: S3Call, by right: S3Right, _ read: () async throws -> Said) async throws -> Said {
        try await check(right, call.caller)
        return try await read()
    }

    /// Reads what a call says where that is little, or where the right hangs on it.
    ///
    /// - Throws: What is wrong with it, to who may; to others what the call is refused for in any case. Nothing is asked
    ///   twice where nothing is wrong: the service asks for the right itself.
    func heard<Said>(_ call: S3Call, by right: S3Right, _ read: () async throws -> Said) async throws -> Said {
        do { return try await read() } catch {
            try await check(right, call.caller)
            throw error
        }
    }

    private func check(_ right: S3Right, _ caller: Caller) async throws(Fault) {
        switch right {
        case .bucket(let name, let action): _ = try await objects.bucket(name, for: action, by: caller)
        case .key(let name, let action): _ = try await objects.bucket(name.bucket, key: name.key, for: action, by: caller)
        case .object(let name, let action): _ = try await objects.object(name, for: action, by: caller)
        }
    }
}
