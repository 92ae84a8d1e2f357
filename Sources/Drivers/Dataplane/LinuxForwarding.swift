//  Looks for firewalls that drop what Karri forwards, gets past them, and takes that back.

import Model

extension LinuxDataplane {
    public func obstacles() async throws(Fault) -> [ForwardingObstacle] {
        let json = try await shell.look(.host, "nft", ["-json", "--terse", "list", "ruleset"])
        var found = try ForwardingCheck.obstacles(nftables: json, names: names)
        for program in try await iptablesInUse(json) {
            let (status, listing) = try await shell.attempt(.host, program, ["-w", "-S"])
            guard status == 0 else { continue }
            found += ForwardingCheck.obstacles(iptables: listing, program: program, names: names)
        }
        return found
    }

    /// Asking a variant of iptables that is not in use would load it, so the kernel is asked first.
    private func iptablesInUse(_ json: String) async throws(Fault) -> [String] {
        var programs: [String] = []
        if try ForwardingCheck.hasIptables(json) { programs.append("iptables-nft") }
        let (status, tables) = try await shell.attempt(.host, "cat", ["/proc/self/net/ip_tables_names"])
        if status == 0, tables.split(separator: "\n").contains("filter") { programs.append("iptables-legacy") }
        return programs
    }

    public func overcome(_ obstacle: ForwardingObstacle) async throws(Fault) {
        guard !obstacle.isOvercome else { return }
        let prefix = names.hostLinkPrefix
        switch obstacle.way {
        case .iptables(let program, let chain):
            for side in ["-i", "-o"] {
                let rule = iptablesRule(chain, side)
                if try await shell.attempt(.host, program, ["-w", "-C"] + rule).status == 0 { continue }
                try await shell.run(.host, program, ["-w", "-I"] + rule)
            }
        case .nftables(let family, let table, let chain):
            try await shell.nft(
                .host,
                ["iifname", "oifname"].map {
                    "insert rule \(family) \(table) \(chain) \($0) \"\(prefix)*\" accept comment \"\(names.mark)\"\n"
                }.joined())
        case .firewalld:
            for scope in [[], ["--permanent"]] {
                try await shell.run(.host, "firewall-cmd", scope + ["--zone=trusted", "--add-interface=\(prefix)+"])
            }
        }
    }

    private func iptablesRule(_ chain: String, _ side: String) -> [String] {
        [chain, side, "\(names.hostLinkPrefix)+", "-m", "comment", "--comment", names.mark, "-j", "ACCEPT"]
    }

    /// Takes back what `overcome` did.
    func removeAccepts() async throws(Fault) {
        let json = try await shell.look(.host, "nft", ["-json", "--terse", "list", "ruleset"])
        let lines = try ForwardingCheck.marked(json, names: names)
        try await shell.nft(.host, lines.isEmpty ? "" : lines.joined(separator: "\n") + "\n")
        for obstacle in try await obstacles() where obstacle.owner != .firewalld {
            guard case .iptables(let program, let chain) = obstacle.way else { continue }
            for side in ["-i", "-o"] {
                let rule = iptablesRule(chain, side)
                while try await shell.attempt(.host, program, ["-w", "-C"] + rule).status == 0 {
                    try await shell.run(.host, program, ["-w", "-D"] + rule)
                }
            }
        }
        for obstacle in try await obstacles() where obstacle.way == .firewalld && obstacle.isOvercome {
            for scope in [[], ["--permanent"]] {
                try await shell.run(
                    .host, "firewall-cmd", scope + ["--zone=trusted", "--remove-interface=\(names.hostLinkPrefix)+"])
            }
        }
    }
}
