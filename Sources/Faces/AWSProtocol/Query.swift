//  A request's parameters as a tree: `Filter.1.Value.2` is a leaf three levels deep. Generated types
//  read themselves from it; every place knows its path, so that a refusal names the parameter.

import Model

/// A place in the tree of a request's parameters: a leaf with a value, or a branch, or the root.
public struct Query: Sendable {
    struct Node: Sendable {
        var value: String?
        var children: [Substring: Node] = [:]

        mutating func insert(_ value: String, at names: ArraySlice<Substring>) -> Bool {
            guard let name = names.first else {
                guard self.value == nil else { return false }
                self.value = value
                return true
            }
            return children[name, default: Node()].insert(value, at: names.dropFirst())
        }
    }

    let node: Node
    /// The parameter's full name as the caller wrote it; empty at the root.
    public let path: String
    /// Whose words a refusal takes.
    public let dialect: Dialect
    let limits: FormParameters.Limits

    /// Builds the tree.
    ///
    /// - Throws: `malformedRequest` for a name that is given twice, `tooLarge` for one that is too deep.
    public init(_ form: FormParameters, _ dialect: Dialect) throws(Fault) {
        var root = Node()
        for parameter in form.parameters {
            let names = parameter.name.split(separator: ".", omittingEmptySubsequences: false)
            guard names.count <= form.limits.depth else {
                throw Fault(.tooLarge, "The parameter \(brief(parameter.name)) has more than \(form.limits.depth) parts")
            }
            guard root.insert(parameter.value, at: names[...]) else {
                throw Fault(.malformedRequest, "The parameter \(brief(parameter.name)) is given more than once")
            }
        }
        self.init(node: root, path: "", dialect, form.limits)
    }

    init(node: Node, path: String, _ dialect: Dialect, _ limits: FormParameters.Limits) {
        self.node = node
        self.path = path
        self.dialect = dialect
        self.limits = limits
    }

    /// What the caller asks for (`Action`).
    public var action: String? { node.children["Action"]?.value }

    /// The version of the API that the caller speaks (`Version`).
    public var version: String? { node.children["Version"]?.value }

    func child(_ name: Substring) -> Query? {
        node.children[name].map { Query(node: $0, path: path.isEmpty ? String(name) : "\(path).\(name)", dialect, limits) }
    }

    /// The full name of some leaf at or below this place: the one that sorts first.
    var firstLeaf: String {
        guard node.value == nil, let name = node.children.keys.min(), let child = child(name) else { return path }
        return child.firstLeaf
    }

    func unknown() -> Fault { Fault(.unknownParameter, "The parameter \(brief(firstLeaf)) is not recognized") }
}

/// Reads the members of one structure and notes which parameters were asked for, so that what no
/// member took is refused.
public struct Fields: ~Copyable {
    private let query: Query
    private var taken: [Substring] = []

    /// Begins to read the structure at a place.
    ///
    /// - Throws: `unknownParameter` if there is a value where the structure should be.
    public init(_ query: Query) throws(Fault) {
        self.query = query
        if query.node.value != nil { throw query.unknown() }
    }

    /// The parameter of that name below this place, if the caller sent it.
    public mutating func take(_ name: Substring) -> Query? {
        guard let child = query.child(name) else { return nil }
        taken.append(name)
        return child
    }

    /// The parameter of that name.
    ///
    /// - Throws: `missingParameter` if the caller did not send it or left it empty.
    public mutating func require(_ name: Substring) throws(Fault) -> Query {
        if let child = take(name), child.node.value?.isEmpty != true { return child }
        throw query.missing(name)
    }

    /// Ends the reading of a structure.
    ///
    /// - Throws: `unknownParameter` if something below this place was not read.
    public consuming func finish() throws(Fault) {
        guard taken.count < query.node.children.count else { return }
        for name in query.node.children.keys.sorted() where !taken.contains(name) {
            if query.path.isEmpty, isCommon(name) { continue }
            if let child = query.child(name) { throw child.unknown() }
        }
    }
}

/// Whether a parameter belongs to every request and to no operation: action, version, signature.
private func isCommon(_ name: Substring) -> Bool {
    switch name {
    case "Action", "Version", "AWSAccessKeyId", "Expires", "SecurityToken", "Signature", "SignatureMethod", "SignatureVersion",
        "Timestamp":
        true
    default: name.lowercased().hasPrefix("x-amz-")
    }
}

/// A caller's text cut to a length that is fit for a message.
func brief(_ text: String) -> String { text.utf8.count <= 256 ? text : "\(text.prefix(128))..." }
