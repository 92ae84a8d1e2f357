//  `karri up`: makes a cloud of this machine, or brings the one that is there back. Each step looks
//  first whether it is done, so that running it again goes on where it stopped.

import ArgumentParser
import Authority
import Fabric
import Hypervisor
import Model
import Platform
import Supervisor

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Makes a cloud of this machine, or brings it back.",
        discussion: "Running it again is safe: what is done is left, and options that are not given stay as they were.")

    @OptionGroup var place: PlaceOptions
    @OptionGroup var choices: UpChoices
    @Flag(name: .long, help: "Asks nothing.") var yes = false

    func run() async throws {
        try requireRoot("up")
        let installation = try place.installation()
        let before = try Configuration.read(installation)
        var wanted = try await survey(installation, before)
        // Where no machine's socket could be, no host would ever join.
        if !wanted.isSimulated { _ = try GuestFolder(installation: installation, name: "i-0\(hexDigits(0 as UInt64))") }
        try agree(before, wanted)
        Output.remark("prepares folders and users")
        _ = try await InstallationFolders.prepare(installation)
        try Up.makeMasterKey(installation, chance: .system)
        try Up.prepareCertificate(installation, wanted, chance: .system)
        let caller = wanted.writesProfile ? try CallingUser.current(environment()) : nil
        if let caller { wanted.profileOwner = caller.name }
        try wanted.write(installation)
        let program = try await InstalledProgram.install(installation)
        let byHand = try await Up.start(installation, program: program, changed: before?.ofProcesses != wanted.ofProcesses)
        try await InstalledProgram.removeOthers(installation, keeping: program)
        let credentials = try await Credentials.ofFirstAccount(installation)
        if let caller { try Up.writeProfile(installation, wanted, credentials, for: caller) }
        try await Up.waitForHosts(installation, wanted)
        var report = UpReport(
            configuration: wanted, installation: installation, program: program,
            profile: caller == nil ? nil : installation.mark, startLine: byHand)
        if wanted.wantsImages { report.image = try await StarterImages(installation, wanted).prepareSmall() }
        Output.line(report.text)
        if wanted.preparesDebian { try await StarterImages(installation, wanted).prepareDebian() }
    }

    /// Looks at the host and settles what was left open.
    ///
    /// - Throws: `.wrongState` where the host cannot bear a cloud; the reasons were said.
    private func survey(_ installation: Installation, _ before: Configuration?) async throws(Fault) -> Configuration {
        Output.remark("looks at this host")
        var wishes = UpPlan.wishes(installation, simulated: choices.simulate ?? before?.simulatedHosts ?? 0)
        let facts = await Preflight.gather(installation, wishes)
        let configuration = try UpPlan.settle(choices, before, facts, reserved: try await Up.reservedRanges())
        try Up.checkCertificate(configuration, chance: .system)
        UpPlan.complete(&wishes, with: configuration)
        let findings = Preflight.judge(facts, wishes)
        for line in UpPlan.shown(findings, isFirst: before == nil) { Output.remark(line) }
        guard !findings.contains(where: { $0.severity == .stops }) else {
            throw Fault(.wrongState, "this host cannot bear the cloud yet: mend what is marked with ✗ and run karri up again")
        }
        return configuration
    }

    private func agree(_ before: Configuration?, _ wanted: Configuration) throws(Fault) {
        guard before == nil else { return }
        Output.remark(UpPlan.announcement(wanted))
        if yes || !Output.isTerminal { return }
        guard Output.ask("Go on?", among: ["yes", "no"]) == "yes" else {
            throw Fault(.cancelled, "nothing was changed")
        }
    }
}

/// What a person may choose; what is left out stays as it was, or is found out.
struct UpChoices: ParsableArguments {
    @Flag(inversion: .prefixedNo, help: "Prepares starter images.") var images: Bool?
    @Flag(inversion: .prefixedNo, help: "Prepares Debian as well as the small starter image: one to two minutes more.") var debian:
        Bool?
    @Flag(inversion: .prefixedNo, help: "Writes an AWS profile for the user who called.") var profile: Bool?
    @Option(help: "The port of the API.") var port: Int?
    @Option(
        help: ArgumentHelp(
            "The port of /metrics and /health on 127.0.0.1; else the first free one after the API's.", valueName: "port"))
    var metersPort: Int?
    @Option(
        help: ArgumentHelp(
            "The IPv4 address that the API listens on; 0.0.0.0 for all. Beyond loopback it is served over TLS.",
            valueName: "address")) var address: String?
    @Option(
        help: ArgumentHelp("The name or address by which clients reach the API, if it is another.", valueName: "name"))
    var endpointName: String?
    @Option(
        help: ArgumentHelp(
            "off, or own: over TLS with a certificate that the cloud makes, renews and says how to trust.", valueName: "mode"))
    var tls: String?
    @Option(
        help: ArgumentHelp(
            "The API's certificate in PEM, followed by those that signed it; followed when it changes.", valueName: "file"))
    var tlsCertificate: String?
    @Option(help: ArgumentHelp("Its private key in PEM, not encrypted.", valueName: "file")) var tlsKey: String?
    @Option(help: "The name of the region.") var region: String?
    @Option(
        help: ArgumentHelp(
            "Addresses that machines are reached by: a part of the uplink's network that nobody uses, or a range of this host's own.",
            valueName: "range")) var publicRange: String?
    @Option(help: ArgumentHelp("How others reach that range: translated, proxyARP or routed.", valueName: "mode")) var publicMode:
        String?
    @Option(help: ArgumentHelp("The link to the outside.", valueName: "link")) var uplink: String?
    @Option(help: ArgumentHelp("Virtual processors for each real one.", valueName: "number")) var overcommit: Int64?
    @Option(help: ChosenTime.accessLogInterval.help) var accessLogInterval: Int64?
    @Option(help: ArgumentHelp("Simulates so many hosts instead of running machines.", valueName: "hosts")) var simulate: Int?
    @Option(help: ChosenTime.lifecycleDay.help) var lifecycleDay: Int64?
    @Option(help: ArgumentHelp("PostgreSQL to keep the store in, without a password.", valueName: "connection")) var store: String?
}
