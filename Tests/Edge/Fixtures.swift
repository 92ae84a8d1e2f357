//  One domain with two guests, as most tests want it.

import Model

@testable import Edge

enum Fixture {
    static let macA = MACAddress("02:00:0a:00:00:05") ?? MACAddress(bits: 0)
    static let macB = MACAddress("02:00:0a:00:00:06") ?? MACAddress(bits: 0)
    static let addressA = IPv4Address(10, 0, 0, 5)
    static let addressB = IPv4Address(10, 0, 0, 6)
    static let gateway = IPv4Address(10, 0, 0, 1)
    static let now = Instant(seconds: 1_800_000_000)
    static let settings = EdgeSettings(region: "us-east-1", tokenKey: Secret("a key for tests only"))

    static func prefix(_ text: String) -> IPv4Prefix { IPv4Prefix(text) ?? .everything }

    static var subnet: EdgeSubnet {
        EdgeSubnet(
            id: "subnet-01", prefix: prefix("10.0.0.0/24"), gateway: gateway, server: gateway,
            nameServers: [IPv4Address(10, 0, 0, 2)], served: [IPv4Address(10, 0, 0, 2)], domainName: "ec2.internal")
    }

    static func guest(
        _ id: String, _ mac: MACAddress, _ addresses: [IPv4Address], interface: Int? = nil,
        options: EdgeMetadataOptions = EdgeMetadataOptions(), userData: String? = nil
    ) -> EdgeGuest {
        let port = EdgePort(
            id: "eni-0\(id.suffix(2))", mac: mac, addresses: addresses, prefix: prefix("10.0.0.0/24"), interfaceIndex: interface,
            ownerId: "000000000001", subnetId: "subnet-01", vpcId: "vpc-01", vpcPrefixes: [prefix("10.0.0.0/16")],
            groups: [EdgeGroup(id: "sg-01", name: "default"), EdgeGroup(id: "sg-02", name: "web servers")],
            publicAddress: IPv4Address(198, 18, 0, 7))
        let metadata = EdgeMetadata(
            accountId: "000000000001", imageId: "ami-01", reservationId: "r-01", instanceType: "t3.micro",
            launchTime: Instant(seconds: 1_799_999_000), availabilityZone: "us-east-1a",
            blockDevices: ["ami": "/dev/xvda", "root": "/dev/xvda"], tags: ["Name": "one", "cost center": "7"])
        return EdgeGuest(
            id: id, ports: [port], metadata: metadata, userData: userData.map { Secret($0) },
            keys: [EdgeKey(name: "my-key", material: "ssh-ed25519 AAAA my-key\n")], options: options)
    }

    static func domain(_ guests: [EdgeGuest]? = nil, subnet: EdgeSubnet? = nil, records: [EdgeRecord] = []) -> EdgeDomain {
        EdgeDomain(
            id: "00000000000000d1", mtu: 1450, subnets: [subnet ?? self.subnet],
            guests: guests ?? [guest("i-0a", macA, [addressA]), guest("i-0b", macB, [addressB])], records: records)
    }
}

/// Changes, cuts, doubles and inserts bytes of valid inputs.
struct Mutator {
    var dice: Dice

    init(seed: UInt64) { dice = Dice(seed: seed) }

    mutating func mutate(_ input: [UInt8]) -> [UInt8] {
        var bytes = input
        for _ in 0...Int.random(in: 0...5, using: &dice) {
            let place = bytes.isEmpty ? 0 : Int.random(in: 0..<bytes.count, using: &dice)
            switch Int.random(in: 0...5, using: &dice) {
            case 0 where !bytes.isEmpty: bytes[place] = UInt8.random(in: 0...255, using: &dice)
            case 1 where !bytes.isEmpty: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &dice)
            case 2: bytes = Array(bytes.prefix(place))
            case 3: bytes.insert(UInt8.random(in: 0...255, using: &dice), at: place)
            case 4 where !bytes.isEmpty: bytes[place] = [0, 255, 192, 63, 64, 127].randomElement(using: &dice) ?? 0
            default:
                let piece = bytes.suffix(from: place).prefix(Int.random(in: 0...40, using: &dice))
                bytes.insert(contentsOf: piece, at: place)
            }
        }
        return bytes
    }
}
