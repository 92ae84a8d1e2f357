//  Domains, routers, networks and subnets in the store.

import Database
import Model

extension Domain {
    public static let table = Table(
        "domain",
        Field("id", \Domain.id),
        Field("account", \Domain.account),
        Field("vni", \Domain.vni),
        make: Domain.init)
}

extension Router {
    public static let table = Table(
        "router",
        Field("id", \Router.id),
        Field("account", \Router.account),
        Field("domain", \Router.domain),
        Field("prefix", \Router.prefix),
        Field("is_default", \Router.isDefault),
        Field("created", \Router.created),
        Field("revision", \Router.revision),
        make: Router.init)
}

extension Network {
    public static let table = Table(
        "network",
        Field("id", \Network.id),
        Field("account", \Network.account),
        Field("router", \Network.router),
        Field("domain", \Network.domain),
        Field("mtu", \Network.mtu),
        Field("created", \Network.created),
        Field("revision", \Network.revision),
        make: Network.init)
}

extension Subnet {
    public static let table = Table(
        "subnet",
        Field("id", \Subnet.id),
        Field("account", \Subnet.account),
        Field("network", \Subnet.network),
        Field("router", \Subnet.router),
        Field("zone", \Subnet.zone),
        Field("prefix", \Subnet.prefix),
        Field("is_default", \Subnet.isDefault),
        Field("map_public_address", \Subnet.mapPublicAddress),
        Field("created", \Subnet.created),
        Field("revision", \Subnet.revision),
        make: Subnet.init)
}

extension Reading {
    public func routers(of account: ID<Account>) throws(Fault) -> [Router] {
        try all(Router.table, where: "account = $1 ORDER BY id", [account.value])
    }

    public func defaultRouter(of account: ID<Account>) throws(Fault) -> Router? {
        try all(Router.table, where: "account = $1 AND is_default", [account.value]).first
    }

    public func subnets(of account: ID<Account>) throws(Fault) -> [Subnet] {
        try all(Subnet.table, where: "account = $1 ORDER BY id", [account.value])
    }

    public func subnets(in router: ID<Router>) throws(Fault) -> [Subnet] {
        try all(Subnet.table, where: "router = $1 ORDER BY id", [router.value])
    }

    /// How many addresses of a subnet's network are held.
    public func heldAddresses(in subnet: Subnet) throws(Fault) -> Int {
        try count(
            "SELECT count(*) FROM port_address WHERE network = $1 AND address BETWEEN $2 AND $3",
            [subnet.network.value, subnet.prefix.first.value, subnet.prefix.last.value])
    }
}
