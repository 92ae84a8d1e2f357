//  What `karri up` decides from the choices, the earlier configuration and the facts about the host.
//  Pure.

import Dataplane
import Model
import Platform
import Supervisor

enum UpPlan {
    /// The default VPC's range, which every account's machines have.
    static let guestRange = IPv4Prefix("172.31.0.0/16")
    /// How many addresses a range of this host's own has.
    static let publicLength = 24

    static func wishes(_ installation: Installation, simulated: Int) -> PreflightWishes {
        var wishes = PreflightWishes()
        wishes.mark = installation.mark
        wishes.programs = [
            .init("ip", package: "iproute2"), .init("nft", package: "nftables"), .init("useradd", package: "passwd"),
        ]
        wishes.guestRanges = guestRange.map { [$0] } ?? []
        if simulated > 0 {
            wishes.programs = wishes.programs.filter { $0.name == "useradd" }
            wishes.diskNeeded = .gibibytes(1)
            wishes.diskComfortable = .gibibytes(2)
            wishes.memoryNeeded = .mebibytes(512)
            wishes.memoryComfortable = .gibibytes(1)
        } else {
            wishes.programs += [
                .init("conntrack", package: "conntrack"), .init("qemu-system-x86_64", package: "qemu-system-x86"),
                .init("qemu-img", package: "qemu-utils"), .init("libvirtd", package: "libvirt-daemon-system"),
                .init("unshare", package: "util-linux"), .init("mke2fs", package: "e2fsprogs"),
            ]
        }
        return wishes
    }

    /// What follows from the settled configuration.
    static func complete(_ wishes: inout PreflightWishes, with configuration: Configuration) {
        wishes.ports = [
            .init(
                "the API", option: "--port", .tcp, UInt16(clamping: configuration.port),
                on: IPv4Address(configuration.address).flatMap { $0.bits == 0 ? nil : $0 })
        ]
        if let meters = configuration.metersPort {
            wishes.ports.append(
                .init("the meters", option: "--meters-port", .tcp, UInt16(clamping: meters), on: IPv4Address(127, 0, 0, 1)))
        }
        guard !configuration.isSimulated else {
            wishes.guestRanges = []
            return
        }
        wishes.publicRange = configuration.publicRange
        wishes.publicRangeIsOnUplink = configuration.publicMode == .proxyARP
    }

    /// The configuration: what was chosen, else what was, else what the host suggests.
    ///
    /// - Throws: `.invalidParameter`; `.wrongState` for what an existing cloud cannot change;
    ///   `.noAddress` where no range is free.
    ///
    /// - Parameter reserved: Ranges that no route leads to and that are taken all the same.
    static func settle(
        _ choices: UpChoices, _ before: Configuration?, _ facts: HostFacts, reserved: [IPv4Prefix]
    ) throws(Fault) -> Configuration {
        var configuration: Configuration
        if let before { configuration = before } else { configuration = Configuration(publicRange: try freeRange(facts, reserved)) }
        if let region = choices.region {
            guard before == nil || before?.region == region else {
                throw Fault(
                    .wrongState,
                    "this cloud's region is \(before?.region ?? "") and stays so: a second region is a second cloud (--root, --mark)"
                )
            }
            configuration.region = region
        }
        if let port = choices.port { configuration.port = port }
        configuration.wantsImages = choices.images ?? configuration.wantsImages
        configuration.wantsDebian = choices.debian ?? configuration.wantsDebian
        configuration.writesProfile = choices.profile ?? configuration.writesProfile
        if let interval = choices.accessLogInterval { configuration.accessLogInterval = interval }
        if let overcommitment = choices.overcommit { configuration.overcommitment = overcommitment }
        if let day = choices.lifecycleDay { configuration.lifecycleDay = day }
        if let hosts = choices.simulate { configuration.simulatedHosts = hosts }
        if let before, before.isSimulated != configuration.isSimulated {
            throw Fault(.wrongState, "a cloud is simulated from its beginning or never: karri uninstall, then karri up")
        }
        if let store = choices.store {
            guard before == nil || before?.store == store else {
                throw Fault(.wrongState, "the store of an existing cloud does not move: karri uninstall, then karri up")
            }
            configuration.store = store
        }
        configuration.uplink = choices.uplink ?? before?.uplink ?? facts.uplink?.name
        try settleListener(&configuration, choices, facts)
        try settleRange(&configuration, choices, isNew: before == nil, facts)
        try configuration.check()
        return configuration
    }

    private static func settleListener(_ configuration: inout Configuration, _ choices: UpChoices, _ facts: HostFacts) throws(Fault)
    {
        // The API's new port may be the one that the meters had.
        let kept = configuration.metersPort == configuration.port ? nil : configuration.metersPort
        configuration.metersPort = choices.metersPort ?? kept ?? freePort(after: configuration.port, facts)
        if let address = choices.address {
            configuration.address = address
            configuration.advertised = nil
        }
        if let name = choices.endpointName { configuration.advertised = name }
        let isLoopback = IPv4Address(configuration.address)?.isLoopback == true
        let own = facts.interfaces.flatMap(\.addresses).filter { !$0.isLoopback }
        if let address = IPv4Address(configuration.address), !isLoopback, address.bits != 0, !own.contains(address) {
            throw Fault(
                .invalidParameter,
                "\(address) is not an address of this host: \(own.map(\.description).joined(separator: ", ")), or 0.0.0.0 for all")
        }
        if configuration.address == "0.0.0.0", configuration.advertised == nil {
            let first = facts.interfaces.first { $0.name == configuration.uplink }?.addresses.first ?? own.first
            configuration.advertised = first?.description ?? "127.0.0.1"
        }
        configuration.otherNames = configuration.address == "0.0.0.0" ? own.map(\.description) : []
        configuration.security = try security(configuration.security, choices, isLoopback: isLoopback)
    }

    /// Below where the kernel takes ports for connections from, if it can be.
    private static func freePort(after port: Int, _ facts: HostFacts) -> Int? {
        let taken = Set(facts.listeners.filter { $0.transport == .tcp }.map { Int($0.port) })
        return (port + 1..<port + 1000).first { $0 <= 65535 && !taken.contains($0) }
            ?? (1024..<port).last { !taken.contains($0) }
    }

    private static func security(_ before: APISecurity, _ choices: UpChoices, isLoopback: Bool) throws(Fault) -> APISecurity {
        switch (choices.tls, choices.tlsCertificate, choices.tlsKey) {
        case (nil, let certificate?, let key?):
            return .files(certificate: try PlaceOptions.absolute(certificate), key: try PlaceOptions.absolute(key))
        case (nil, nil, nil): return before == .none && !isLoopback ? .own : before
        case ("own", nil, nil): return .own
        case ("off", nil, nil): return .none
        case (nil, _, _): throw Fault(.missingParameter, "--tls-certificate and --tls-key go together")
        case (_, nil, nil): throw Fault(.invalidParameter, "--tls is own or off, not \(choices.tls ?? "")")
        default: throw Fault(.conflictingParameters, "--tls is for a cloud without --tls-certificate and --tls-key")
        }
    }

    private static func settleRange(
        _ configuration: inout Configuration, _ choices: UpChoices, isNew: Bool, _ facts: HostFacts
    ) throws(Fault) {
        if let text = choices.publicRange {
            guard let range = IPv4Prefix(text) else {
                throw Fault(.invalidParameter, "\(text) is not a range such as 192.168.1.224/27")
            }
            if range != configuration.publicRange {
                let earlier = isNew ? [] : [configuration.publicRange] + configuration.earlierRanges
                configuration.earlierRanges = earlier.filter { $0 != range }
                guard !configuration.earlierRanges.contains(where: { $0.overlaps(range) }) else {
                    throw Fault(.conflictingParameters, "\(range) overlaps a range from which machines may still have addresses")
                }
                configuration.publicRange = range
            }
            let networks = facts.interfaces.first { $0.name == configuration.uplink }?.networks ?? []
            configuration.publicMode = networks.contains { $0.contains(range) } ? .proxyARP : .translated
        }
        if let text = choices.publicMode {
            guard let mode = PublicMode(rawValue: text) else {
                throw Fault(.invalidParameter, "--public-mode is translated, proxyARP or routed, not \(text)")
            }
            configuration.publicMode = mode
        }
    }

    private static func freeRange(_ facts: HostFacts, _ reserved: [IPv4Prefix]) throws(Fault) -> IPv4Prefix {
        let used =
            facts.routes.filter { $0.destination.length > 0 }.map(\.destination) + facts.interfaces.flatMap(\.networks)
            + (facts.resolvers + facts.routes.compactMap(\.gateway)).map(IPv4Prefix.init(host:))
            + (guestRange.map { [$0] } ?? []) + reserved
        guard let range = Preflight.freePrefix(length: publicLength, avoiding: used) else {
            throw Fault(.noAddress, "no private range is free on this host: give one with --public-range")
        }
        return range
    }

    /// The findings as lines, the gravest first. What merely tells is for the first time.
    static func shown(_ findings: [Finding], isFirst: Bool) -> [String] {
        findings.filter { isFirst || $0.severity != .tells }.flatMap { finding -> [String] in
            let sign =
                switch finding.severity {
                case .stops: "✗"
                case .warns: "!"
                case .tells: "·"
                }
            return ["\(sign) \(finding.sentence)"] + (finding.remedy.isEmpty ? [] : ["    \(finding.remedy)"])
        }
    }

    /// How long it takes and what it needs, said beforehand.
    static func announcement(_ configuration: Configuration) -> String {
        if configuration.isSimulated {
            return "starts a cloud of \(configuration.simulatedHosts) simulated hosts: a few seconds, and no machine really runs"
        }
        let (time, disk) =
            if configuration.preparesDebian {
                ("two to four minutes, of which the cloud answers after the first", "about 3 GiB")
            } else if configuration.wantsImages {
                ("about a minute", "about 500 MiB")
            } else {
                ("under a minute", "about 100 MiB")
            }
        return "makes a cloud of this machine: \(time), and \(disk) of disk before machines"
    }
}

/// What `karri up` says at its end.
struct UpReport {
    var configuration: Configuration
    var installation: Installation
    /// The installed program's path.
    var program: String
    /// The AWS profile that was written.
    var profile: String?
    /// What starts the cloud after a reboot, where no service manager does.
    var startLine: String?
    /// The image for the next commands.
    var image: String?

    /// The certificate that clients have to be told of, where it is the cloud's own.
    private var trusted: String? { configuration.security == .own ? installation.trustedCertificate : nil }

    var text: String {
        let aws = profile.map { "aws --profile \($0)" } ?? "aws"
        var lines = [
            "", "The cloud is up.", "",
            "  API          \(configuration.endpoint)  (region \(configuration.region), zone \(configuration.zone))",
            "  credentials  \(Credentials.path(of: AdministrationService.firstAccount, installation))"
                + (profile.map { ", AWS profile \($0)" } ?? ""),
        ]
        if let meters = configuration.metersPort {
            lines.append("  meters       http://\(OperatorListener.address):\(meters)/metrics, and /health/ready")
        }
        if let trusted {
            lines.append("  certificate  signed by the cloud's own authority; clients trust it by AWS_CA_BUNDLE=\(trusted)")
            if profile != nil { lines.append("               (the AWS profile does already; copy the file to other machines)") }
        }
        if !configuration.isSimulated {
            lines.append("  machines     reached from this host by ssh at addresses of \(configuration.publicRange)")
            lines += reach.map { "               \($0)" }
        }
        if let startLine { lines += ["", "After a reboot, start it again with:", "  \(startLine)"] }
        lines += ["", "Next:"]
        if profile == nil {
            let command = [program, "credentials"] + PlaceOptions.arguments(installation)
            lines.append("  eval \"$(\(command.joined(separator: " ")))\"")
        }
        if let image {
            lines += [
                "  \(aws) ec2 create-key-pair --key-name my --query KeyMaterial --output text > my.pem && chmod 600 my.pem",
                "  \(aws) ec2 run-instances --image-id \(image) --instance-type t3.micro --key-name my",
                "  ssh -i my.pem root@$(\(aws) ec2 describe-instances --filters Name=key-name,Values=my Name=instance-state-name,Values=running --query 'Reservations[-1].Instances[0].PublicIpAddress' --output text)",
            ]
        } else {
            lines.append("  karri image import FILE --name my-image")
        }
        return lines.joined(separator: "\n")
    }

    private var reach: [String] {
        switch configuration.publicMode {
        case .proxyARP: ["and from the network of \(configuration.uplink ?? "the uplink")"]
        case .routed: ["and from wherever routes lead that range to this host"]
        case .translated:
            ["from elsewhere: give a free part of your network with --public-range, or jump with ssh -J this-host"]
        }
    }
}
