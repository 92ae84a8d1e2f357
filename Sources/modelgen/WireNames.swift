//  How members are named on the wire. The rules are the protocols' and look arbitrary because they are.

/// The protocols whose requests are forms and whose answers are XML.
enum Wire: String {
    case ec2
    case query

    /// A member's name in a request. Source: Smithy's `ec2QueryName` and `awsQuery` serialization.
    func requestName(_ member: String, _ reference: ServiceModel.Reference, _ model: ServiceModel) throws -> String {
        let shape = try model.shape(reference.shape)
        let location = reference.locationName ?? shape.locationName
        switch self {
        case .ec2: return reference.queryName ?? location.map { $0.prefix(1).uppercased() + $0.dropFirst() } ?? member
        case .query: return try flatName(reference, shape) ?? location ?? member
        }
    }

    /// The name between a list's and the number in a request; nil for a flat list.
    func requestItem(_ reference: ServiceModel.Reference, _ model: ServiceModel) throws -> String? {
        let shape = try model.shape(reference.shape)
        switch self {
        case .ec2: return nil
        case .query: return isFlat(reference, shape) ? nil : shape.member?.locationName ?? "member"
        }
    }

    /// A member's element in a response.
    func responseName(_ member: String, _ reference: ServiceModel.Reference, _ model: ServiceModel) throws -> String {
        let shape = try model.shape(reference.shape)
        return try flatName(reference, shape) ?? reference.locationName ?? shape.locationName ?? member
    }

    /// The element of one item of a list in a response; nil for a flat list, whose items bear the list's name.
    func responseItem(_ reference: ServiceModel.Reference, _ model: ServiceModel) throws -> String? {
        let shape = try model.shape(reference.shape)
        if isFlat(reference, shape) { return nil }
        return shape.member?.locationName ?? (self == .ec2 ? "item" : "member")
    }

    private func isFlat(_ reference: ServiceModel.Reference, _ shape: ServiceModel.Shape) -> Bool {
        reference.flattened ?? shape.flattened ?? false
    }

    /// A flat list goes by its items' name, where they have one.
    private func flatName(_ reference: ServiceModel.Reference, _ shape: ServiceModel.Shape) throws -> String? {
        shape.type == "list" && isFlat(reference, shape) ? shape.member?.locationName : nil
    }
}
