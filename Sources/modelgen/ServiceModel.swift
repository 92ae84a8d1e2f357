//  The facts of one service, as Tools/trim-models writes them: botocore's format, less the
//  documentation, plus the order of members and the names of all operations.

import FoundationEssentials

/// One file of Models.
struct ServiceModel: Decodable {
    /// Where the facts are from, for the generated files' header.
    var source: String
    /// The Swift namespace: `EC2`.
    var namespace: String
    var metadata: Metadata
    /// Every operation that the service has.
    var operationNames: [String]
    /// The operations to build, by name.
    var operations: [String: Operation]
    var shapes: [String: Shape]

    struct Metadata: Decodable {
        var apiVersion: String
        var `protocol`: String
        var serviceFullName: String
        var xmlNamespace: String?
    }

    struct Operation: Decodable {
        var input: Reference?
        var output: Reference?
    }

    /// A use of a shape: by a member, a list or an operation.
    struct Reference: Decodable {
        var shape: String
        var locationName: String?
        var queryName: String?
        var flattened: Bool?
        var resultWrapper: String?
    }

    struct Shape: Decodable {
        var type: String
        /// The names of a structure's members, as the original orders them.
        var order: [String]?
        var members: [String: Reference]?
        var member: Reference?
        var required: [String]?
        var `enum`: [String]?
        var min: Int?
        var max: Int?
        var flattened: Bool?
        var locationName: String?
    }
}

/// A model that cannot be turned into Swift, and why.
struct ModelFailure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

extension ServiceModel {
    func shape(_ name: String) throws -> Shape {
        guard let shape = shapes[name] else { throw ModelFailure("\(namespace): no shape is named \(name)") }
        return shape
    }

    /// The members of a structure in the original's order.
    func members(_ name: String) throws -> [(name: String, reference: Reference)] {
        let shape = try shape(name)
        return try (shape.order ?? []).map { member in
            guard let reference = shape.members?[member] else { throw ModelFailure("\(name) has no member \(member)") }
            return (member, reference)
        }
    }

    /// The names of all structures that the given shapes reach, sorted.
    func structures(from roots: [String]) throws -> [String] {
        var seen: Set<String> = []
        func reach(_ name: String) throws {
            guard seen.insert(name).inserted else { return }
            let shape = try shape(name)
            for (_, member) in try members(name) { try reach(member.shape) }
            if let member = shape.member { try reach(member.shape) }
        }
        for root in roots { try reach(root) }
        return try seen.filter { try shape($0).type == "structure" }.sorted()
    }

    var requestStructures: [String] { get throws { try structures(from: operations.values.compactMap(\.input?.shape)) } }
    var responseStructures: [String] { get throws { try structures(from: operations.values.compactMap(\.output?.shape)) } }

    /// Refuses a structure that holds itself: a Swift struct cannot, and none of the selected services has one.
    func refuseRecursion() throws {
        func visit(_ name: String, _ path: [String]) throws {
            if path.contains(name) { throw ModelFailure("\(name) holds itself: \(path.joined(separator: " > "))") }
            let shape = try shape(name)
            for (_, member) in try members(name) { try visit(member.shape, path + [name]) }
            if let member = shape.member { try visit(member.shape, path + [name]) }
        }
        for operation in operations.values {
            for reference in [operation.input, operation.output] {
                if let reference { try visit(reference.shape, []) }
            }
        }
    }
}
