//  Public addresses in the store.

import Database
import Model

extension ExternalRange {
    public static let table = Table(
        "external_range",
        Field("prefix", \ExternalRange.prefix),
        Field("first", \ExternalRange.first),
        Field("last", \ExternalRange.last),
        make: ExternalRange.init)
}

extension Address {
    public static let table = Table(
        "address",
        Field("id", \Address.id),
        Field("account", \Address.account),
        Field("address", \Address.address),
        Field("is_automatic", \Address.isAutomatic),
        Field("port", \Address.port),
        Field("created", \Address.created),
        Field("revision", \Address.revision),
        make: Address.init)
}

extension Reading {
    public func address(of port: ID<Port>) throws(Fault) -> Address? {
        try all(Address.table, where: "port = $1 LIMIT 1", [port.value]).first
    }
}

extension Writing {
    /// Claims a free address of the outside, by random probes first.
    ///
    /// - Returns: Nil when none is left.
    public func claimPublicAddress(_ make: (IPv4Address) -> Address, dice: inout Dice) throws(Fault) -> Address? {
        for range in try all(ExternalRange.table, where: "TRUE ORDER BY prefix") {
            for _ in 0..<24 {
                let address = make(IPv4Address(bits: UInt32.random(in: range.first.bits...range.last.bits, using: &dice)))
                if try claim(address, in: Address.table) { return address }
            }
            let held = Set(
                try values(
                    "SELECT address FROM address WHERE address BETWEEN $1 AND $2", [range.first.value, range.last.value],
                    as: IPv4Address.self))
            for bits in range.first.bits...range.last.bits where !held.contains(IPv4Address(bits: bits)) {
                let address = make(IPv4Address(bits: bits))
                if try claim(address, in: Address.table) { return address }
            }
        }
        return nil
    }

    /// Gives an automatic address back.
    public func release(_ address: Address) throws(Fault) {
        try run("DELETE FROM address WHERE id = $1", [address.id.value])
        if let port = address.port { changed("port", port.stored) }
    }
}
