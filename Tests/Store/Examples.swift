//  A record of each table, with values of one type that differ from each other, that fit together
//  as one small cloud.

import Database
import Model
import Store

/// Records that refer to each other.
struct Examples {
    let now: Instant
    var later: Instant { now + .seconds(60) }

    let account: Account
    let user: User
    let accessKey: AccessKey
    let zone: Zone
    let pool: Pool
    let host: Host
    let kernel: Image
    let ramdisk: Image
    let image: Image
    let volume: Volume
    let keyPair: KeyPair
    let domain: Domain
    let router: Router
    let network: Network
    let subnet: Subnet
    let group: Group
    let peer: Group
    let rule: Rule
    let peerRule: Rule
    let instance: Instance
    let attachment: Attachment
    let port: Port
    let address: Address
    let range: ExternalRange
    let machine: Holding
    let disk: Holding
    let operation: Operation

    init(seed: UInt64 = 7) {
        var dice = Dice(seed: seed)
        let now = Instant(microseconds: 1_700_000_000_000_000)
        self.now = now
        account = Account(
            id: dice.id(), number: "123456789\(100 + dice.next() % 900)", name: "example-\(seed)", state: .active, created: now,
            revision: 3)
        user = User(id: dice.id(), account: account.id, name: "admin", created: now, revision: 4)
        accessKey = AccessKey(
            key: "AKIA\(seed)", account: account.id, user: user.id, sealedSecret: [1, 2, 3], active: true, created: now)
        zone = Zone(id: dice.id(), name: "zone-\(seed)", region: "region", created: now)
        let hostID: ID<Host> = dice.id()
        pool = Pool(
            id: dice.id(), zone: zone.id, host: hostID, name: "pool-\(seed)", bytes: .gibibytes(900), bytesFree: .gibibytes(800),
            created: now, revision: 5)
        host = Host(
            id: hostID, zone: zone.id, name: "host-\(seed)", state: .up, processors: 16, memory: .gibibytes(64), processorsFree: 12,
            memoryFree: .gibibytes(48), pool: pool.id, accelerator: "kvm", created: now, revision: 6)
        kernel = Examples.image(dice.id(), account.id, "kernel", .kernel, nil, nil, now)
        ramdisk = Examples.image(dice.id(), account.id, "ramdisk", .ramdisk, nil, nil, now)
        image = Examples.image(dice.id(), account.id, "starter", .machine, kernel.id, ramdisk.id, now)
        volume = Volume(
            id: dice.id(), account: account.id, zone: zone.id, pool: pool.id, type: "gp3", size: .gibibytes(8), image: image.id,
            desired: .present, epoch: 9, created: now, revision: 10)
        keyPair = KeyPair(
            id: dice.id(), account: account.id, name: "key", type: .ed25519, fingerprint: "aa:bb", publicKey: "ssh-ed25519 AAAA",
            created: now, revision: 11)
        domain = Domain(id: dice.id(), account: account.id, vni: Int64(5000 + seed))
        router = Router(
            id: dice.id(), account: account.id, domain: domain.id, prefix: IPv4Prefix("172.31.0.0/16")!, isDefault: true,
            created: now, revision: 12)
        network = Network(
            id: dice.id(), account: account.id, router: router.id, domain: domain.id, mtu: 1450, created: now, revision: 13)
        subnet = Subnet(
            id: dice.id(), account: account.id, network: network.id, router: router.id, zone: zone.id,
            prefix: IPv4Prefix("172.31.0.0/20")!, isDefault: true, mapPublicAddress: false, created: now, revision: 14)
        group = Group(
            id: dice.id(), account: account.id, router: router.id, name: "web", description: "servers", created: now, revision: 15)
        peer = Group(
            id: dice.id(), account: account.id, router: router.id, name: "default", description: "others", created: now,
            revision: 16)
        rule = Rule(
            id: dice.id(), account: account.id, group: group.id, isEgress: false, protocolNumber: 6, fromPort: 80, toPort: 443,
            prefix: .everything, peer: nil, description: "from all", created: now)
        peerRule = Rule(
            id: dice.id(), account: account.id, group: group.id, isEgress: true, protocolNumber: 17, fromPort: 53, toPort: 54,
            prefix: nil, peer: peer.id, description: "to others", created: now)
        var options = Instance.Options()
        options.disableStop = true
        options.metadataHopLimit = 2
        instance = Instance(
            id: dice.id(), account: account.id, zone: zone.id, reservation: dice.id(), launchIndex: 17, desired: .running,
            power: .paused, task: .starting, fault: "a reason", type: "t3.micro", processors: 2, memory: .gibibytes(1),
            image: image.id, kernel: kernel.id, ramdisk: ramdisk.id, keyName: "key", router: router.id, subnet: subnet.id,
            startsWanted: 18, rebootsWanted: 19, options: options, clientToken: "token", launched: now + .seconds(1),
            stateChanged: now + .seconds(2), ended: now + .seconds(3), created: now, revision: 20)
        attachment = Attachment(
            id: dice.id(), account: account.id, instance: instance.id, volume: volume.id, device: "/dev/sda1", isRoot: true,
            deleteOnTermination: false, created: now)
        port = Port(
            id: dice.id(), account: account.id, zone: zone.id, network: network.id, subnet: subnet.id, router: router.id,
            domain: domain.id, mac: MACAddress(local: dice.next()), address: IPv4Address(172, 31, 0, 9), instance: instance.id,
            deviceIndex: 21, deleteOnTermination: true, sourceCheck: false, description: "a port", created: now, revision: 22)
        address = Address(
            id: dice.id(), account: account.id, address: IPv4Address(198, 51, 100, UInt8(seed % 250)), isAutomatic: true,
            port: port.id, created: now, revision: 23)
        range = ExternalRange(
            prefix: IPv4Prefix("198.51.100.0/24")!, first: IPv4Address(198, 51, 100, 10), last: IPv4Address(198, 51, 100, 20))
        machine = Holding(
            id: dice.id(), kind: .machine, thing: instance.id.stored, account: account.id, zone: zone.id, host: host.id, pool: nil,
            epoch: 24, wanted: .stopped, granted: true, observed: .paused, fault: "why", startsDone: 25, rebootsDone: 26,
            processors: 4, memory: .gibibytes(16), bytes: .zero, created: now)
        disk = Holding(
            id: dice.id(), kind: .disk, thing: volume.id.stored, account: account.id, zone: zone.id, host: nil, pool: pool.id,
            epoch: 27, wanted: .present, granted: true, observed: .ready, fault: nil, startsDone: 28, rebootsDone: 29,
            processors: 30, memory: .mebibytes(31), bytes: .gibibytes(100), created: now)
        operation = Operation(
            id: dice.id(), account: account.id, zone: zone.id, kind: "instance.start", subjectKind: .instance,
            subject: instance.id.stored, step: "running", state: .failed, attempt: 32, refusals: 33, due: now + .seconds(4),
            deadline: now + .seconds(5), inputs: "{}", fault: "it failed", request: "request", principal: "arn", created: now,
            ended: now + .seconds(6))
    }

    private static func image(
        _ id: ID<Image>, _ account: ID<Account>, _ name: String, _ purpose: Image.Purpose, _ kernel: ID<Image>?,
        _ ramdisk: ID<Image>?, _ now: Instant
    ) -> Image {
        Image(
            id: id, account: account, name: name, description: "description of \(name)", purpose: purpose, state: .available,
            fault: "no fault of \(name)", architecture: "x86_64", digest: "digest of \(name)", size: .mebibytes(700),
            kernel: kernel,
            ramdisk: ramdisk, isPublic: purpose == .machine, created: now, revision: 8)
    }

    /// Puts all of it into a store.
    func insert(_ tx: Writing) throws(Fault) {
        tx.insert(account, into: Account.table)
        tx.insert(user, into: User.table)
        tx.insert(accessKey, into: AccessKey.table)
        tx.assign("AdministratorAccess", to: user.id)
        tx.insert(zone, into: Zone.table)
        tx.insert(pool, into: Pool.table)
        tx.insert(host, into: Host.table)
        for image in [kernel, ramdisk, image] { tx.insert(image, into: Image.table) }
        tx.insert(volume, into: Volume.table)
        tx.insert(keyPair, into: KeyPair.table)
        tx.insert(domain, into: Domain.table)
        tx.insert(router, into: Router.table)
        tx.insert(network, into: Network.table)
        tx.insert(subnet, into: Subnet.table)
        for group in [group, peer] { tx.insert(group, into: Group.table) }
        for rule in [rule, peerRule] { tx.insert(rule, into: Rule.table) }
        tx.insert(instance, into: Instance.table)
        tx.insert(attachment, into: Attachment.table)
        tx.insert(port, into: Port.table)
        tx.insert(address, into: Address.table)
        for holding in [machine, disk] { tx.add(holding) }
        tx.insert(operation, into: Operation.table)
        try tx.set(groups: [group.id], of: port.id)
        tx.set(Store.Tag(account: account.id, kind: .instance, thing: instance.id.stored, key: "Name", value: "example"))
    }
}
