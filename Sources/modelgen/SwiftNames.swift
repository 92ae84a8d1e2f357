//  Names of Swift for names of AWS.

/// `InstanceId` becomes `instanceId`, `VCpuInfo` `vCpuInfo`, `EBSOptimized` `ebsOptimized`.
func swiftMember(_ name: String) -> String {
    let characters = Array(name)
    var capitals = characters.prefix { $0.isUppercase }.count
    // In `EBSOptimized` the last capital of the run begins a word of its own.
    if capitals > 1, capitals < characters.count, characters[capitals].isLowercase { capitals -= 1 }
    return quoted(String(characters.prefix(capitals)).lowercased() + String(characters.dropFirst(capitals)))
}

/// `pending-acceptance` becomes `pendingAcceptance`, `2.0` `_2_0`.
func swiftConstant(_ value: String) -> String {
    let words = value.split { $0 == "-" || $0 == " " || $0 == ":" || $0 == "/" }
    guard let first = words.first else { return "none" }
    let rest = words.dropFirst().map { $0.prefix(1).uppercased() + $0.dropFirst() }
    let isCapitals = first.allSatisfy { !$0.isLowercase }
    let joined = (isCapitals && !first.contains("_") ? first.lowercased() : String(first)) + rest.joined()
    let legal = joined.map { $0.isLetter || $0.isNumber ? $0 : "_" }
    return quoted((legal.first?.isNumber == true ? "_" : "") + String(legal))
}

/// A name that generated files may use as a type, beside those of the runtime.
func swiftType(_ shape: String) -> String {
    let taken: Set = [
        "String", "Int", "Double", "Bool", "Optional", "Array", "Type", "Protocol", "Self", "Any", "Error", "Sendable",
        "Query", "Fields", "XMLWriter", "ResponseEnvelope", "Instant", "Fault", "Operation", "Handlers",
    ]
    return taken.contains(shape) ? "\(shape)Shape" : shape
}

private func quoted(_ name: String) -> String {
    let keywords: Set = [
        "associatedtype", "class", "deinit", "enum", "extension", "fileprivate", "func", "import", "init", "inout", "internal",
        "let", "open", "operator", "private", "precedencegroup", "protocol", "public", "rethrows", "static", "struct",
        "subscript", "typealias", "var", "break", "case", "catch", "continue", "default", "defer", "do", "else",
        "fallthrough", "for", "guard", "if", "in", "repeat", "return", "throw", "switch", "where", "while", "Any", "as", "await",
        "false", "is", "nil", "self", "Self", "super", "throws", "true", "try", "all",
    ]
    // `all` is the list of an enumeration's values.
    return name == "all" ? "allValue" : keywords.contains(name) ? "`\(name)`" : name
}

/// A Swift string literal.
func literal(_ text: String) -> String {
    "\"" + text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined() + "\""
}
