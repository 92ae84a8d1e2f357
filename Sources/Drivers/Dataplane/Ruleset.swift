//  One nftables table as a value, with its two renderings: whole, for a namespace whose state is
//  not known, and as the difference from what was applied before. nft carries out either text as
//  one transaction.

/// A table of nftables: sets, maps and chains by name.
struct Ruleset: Sendable, Hashable {
    /// A set (values are nil) or a map (values are not).
    struct Collection: Sendable, Hashable {
        var isMap: Bool
        /// The type, such as `ifname . ether_addr`, or `ipv4_addr : verdict` of a map.
        var type: String
        var isInterval = false
        var elements: [String: String?] = [:]
    }

    /// A chain; one with a hook sees packets by itself, the others are jumped to.
    struct Chain: Sendable, Hashable {
        /// Such as `type filter hook forward priority filter; policy drop;`.
        var hook: String?
        var rules: [String] = []
    }

    var family: String
    var name: String
    var collections: [String: Collection] = [:]
    var chains: [String: Chain] = [:]

    private var table: String { "\(family) \(name)" }

    /// Replaces the table, whatever it holds, by this one.
    var whole: String {
        // Adding first makes the deletion valid when there is no such table.
        "add table \(table)\ndelete table \(table)\nadd table \(table)\n" + difference(from: Ruleset(family: family, name: name))
    }

    /// Removes the table, if there is one.
    var removal: String { "add table \(table)\ndelete table \(table)\n" }

    /// The commands that turn `old`, which must be in the kernel, into this; "" if they are equal.
    ///
    /// Order matters to nft: what is referred to is made first and removed last.
    func difference(from old: Ruleset) -> String {
        let reshaped = { (name: String) -> Bool in
            guard let before = old.chains[name], let after = chains[name] else { return false }
            return before.hook != after.hook
        }
        let retyped = { (name: String) -> Bool in
            guard let before = old.collections[name], let after = collections[name] else { return false }
            return before.isMap != after.isMap || before.type != after.type || before.isInterval != after.isInterval
        }
        if chains.keys.contains(where: reshaped) || collections.keys.contains(where: retyped) { return whole }
        var lines: [String] = []
        for (name, collection) in collections.sorted(by: { $0.key < $1.key }) where old.collections[name] == nil {
            lines.append(
                "add \(collection.isMap ? "map" : "set") \(table) \(name) { type \(collection.type);\(collection.isInterval ? " flags interval;" : "") }"
            )
        }
        for (name, chain) in chains.sorted(by: { $0.key < $1.key }) where old.chains[name] == nil {
            lines.append("add chain \(table) \(name)\(chain.hook.map { " { \($0) }" } ?? "")")
        }
        lines += elementLines(from: old)
        for (name, chain) in chains.sorted(by: { $0.key < $1.key }) where chain.rules != old.chains[name]?.rules ?? [] {
            if old.chains[name]?.rules.isEmpty == false { lines.append("flush chain \(table) \(name)") }
            lines += chain.rules.map { "add rule \(table) \(name) \($0)" }
        }
        let gone = old.chains.keys.filter { chains[$0] == nil }.sorted()
        // A chain that others jump to can only go when all that jump are empty.
        lines += gone.map { "flush chain \(table) \($0)" }
        lines += gone.map { "delete chain \(table) \($0)" }
        for (name, collection) in old.collections.sorted(by: { $0.key < $1.key }) where collections[name] == nil {
            lines.append("delete \(collection.isMap ? "map" : "set") \(table) \(name)")
        }
        return lines.isEmpty ? "" : lines.joined(separator: "\n") + "\n"
    }

    private func elementLines(from old: Ruleset) -> [String] {
        var removals: [String] = []
        var additions: [String] = []
        for (name, collection) in collections.sorted(by: { $0.key < $1.key }) {
            let before = old.collections[name]?.elements ?? [:]
            let gone = before.filter { collection.elements[$0.key] != $0.value }.keys.sorted()
            let new = collection.elements.filter { before[$0.key] != $0.value }.sorted { $0.key < $1.key }
            removals += chunks(gone).map { "delete element \(table) \(name) { \($0.joined(separator: ", ")) }" }
            additions += chunks(new.map { key, value in value.map { "\(key) : \($0)" } ?? key })
                .map { "add element \(table) \(name) { \($0.joined(separator: ", ")) }" }
        }
        return removals + additions
    }

    /// Lines of bounded length.
    private func chunks(_ elements: [String]) -> [ArraySlice<String>] {
        stride(from: 0, to: elements.count, by: 500).map { elements[$0..<min($0 + 500, elements.count)] }
    }
}
