//  Instances: listed, started, stopped, rebooted, removed, and their consoles.

import Authority
import Compute
import EC2Model
import FoundationEssentials
import Model
import Store

extension EC2Face {
    func describeInstances(
        _ request: EC2.DescribeInstancesRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.DescribeInstancesResult {
        let page = try await instances(
            request.instanceIds, request.filters, request.maxResults, request.nextToken, for: .describe, context)
        var result = EC2.DescribeInstancesResult()
        result.reservations = reservations(of: page.rows, context)
        result.nextToken = page.next
        return result
    }

    /// A page of the account's instances: the named ones, or those that pass the filters. What an index decides
    /// is left to the store.
    func instances(
        _ texts: [String]?, _ filters: [EC2.Filter]?, _ max: Int?, _ token: String?, for action: Action<Instance>,
        _ context: EC2Call, testing isShown: @Sendable (InstanceView) -> Bool = { _ in true }
    ) async throws(Fault) -> (rows: [InstanceView], next: String?) {
        let ids: [ID<Instance>] = try AWSID.parse(all: texts)
        let filter = try RowFilter(filters, InstanceFilters.table(region: region))
        let paging = try Paging(max: max, token: token, hasIds: !ids.isEmpty, idsName: "instancesSet", context)
        let passes = { (view: InstanceView) in isShown(view) && filter.passes(view) }
        if !ids.isEmpty {
            let rows = try await compute.instances(ids, for: action, by: context.call)
            return (rows.filter(passes), nil)
        }
        var selection = InstanceSelection(account: try context.call.account())
        if let routers = filter.exact("vpc-id"), routers.count == 1, let router = try? AWSID.parse(routers[0], Router.self) {
            selection.router = router
        }
        selection.tag = filter.exactTag.map { ($0.key, $0.value) }
        if let named = filter.exact("instance-id") {
            // A filter on ids finds what there is, and is no error where there is nothing.
            var rows: [InstanceView] = []
            for id in Set(named.compactMap { text in try? AWSID.parse(text, Instance.self) }) {
                do throws(Fault) {
                    rows += try await compute.instances([id], for: action, by: context.call)
                } catch  where error.code == .notFound { continue }
            }
            return try await paging.collect(rows, place: { $0.instance.id.place }, passes: passes)
        }
        let chosen = selection
        return try await paging.collect(place: { $0.instance.id.hex }, passes: passes) { after, limit throws(Fault) in
            try await compute.instances(chosen, for: action, after: Paging.after(after), limit: limit, by: context.call)
        }
    }

    func startInstances(_ request: EC2.StartInstancesRequest, _ context: EC2Call) async throws(Fault) -> EC2.StartInstancesResult {
        var result = EC2.StartInstancesResult()
        result.startingInstances = try await compute.start(required(request.instanceIds), by: context.call).map(stateChange)
        return result
    }

    func stopInstances(_ request: EC2.StopInstancesRequest, _ context: EC2Call) async throws(Fault) -> EC2.StopInstancesResult {
        if request.hibernate == true { throw Fault(.notSupported, "The parameter Hibernate is not supported by this cloud.") }
        var result = EC2.StopInstancesResult()
        result.stoppingInstances = try await compute.stop(required(request.instanceIds), by: context.call).map(stateChange)
        return result
    }

    func rebootInstances(_ request: EC2.RebootInstancesRequest, _ context: EC2Call) async throws(Fault) {
        try await compute.reboot(required(request.instanceIds), by: context.call)
    }

    func terminateInstances(
        _ request: EC2.TerminateInstancesRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.TerminateInstancesResult {
        var result = EC2.TerminateInstancesResult()
        result.terminatingInstances = try await compute.terminate(required(request.instanceIds), by: context.call).map(stateChange)
        return result
    }

    private func required(_ texts: [String]?) throws(Fault) -> [ID<Instance>] {
        guard let texts, !texts.isEmpty else { throw Fault(.missingParameter, "The request must contain the parameter InstanceId") }
        return try AWSID.parse(all: texts)
    }

    private func stateChange(_ change: StateChange) -> EC2.InstanceStateChange {
        var shown = EC2.InstanceStateChange()
        shown.instanceId = change.id.shown
        shown.previousState = EC2.InstanceState(change.before)
        shown.currentState = EC2.InstanceState(change.after)
        return shown
    }

    func getConsoleOutput(
        _ request: EC2.GetConsoleOutputRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.GetConsoleOutputResult {
        let id: ID<Instance> = try AWSID.parse(request.instanceId ?? "")
        _ = try await compute.instances([id], for: .readConsole, by: context.call)
        try context.call.endIfDryRun()
        let (output, at) = try await consoleOutput(id)
        var result = EC2.GetConsoleOutputResult()
        result.instanceId = id.shown
        result.timestamp = at
        result.output = Data(output.suffix(EC2Face.consoleBytesMax)).base64EncodedString()
        return result
    }

    /// EC2 answers with the last 64 KiB.
    static let consoleBytesMax = 65536
}

extension ID {
    /// Hex digits that sort as the store sorts ids: as signed numbers.
    var place: String { hexDigits(bits ^ 1 << 63) }
}

extension EC2.InstanceState {
    init(_ phase: Instance.Phase) {
        self.init()
        let state = InstanceWords.state(phase)
        name = state.name
        code = state.code
    }
}

/// EC2's words for the core's.
enum InstanceWords {
    /// Source: EC2 API Reference, InstanceState. The low byte; the high byte is AWS's own.
    static func state(_ phase: Instance.Phase) -> (name: String, code: Int) {
        switch phase {
        case .launching, .starting: ("pending", 0)
        case .running: ("running", 16)
        case .terminating: ("shutting-down", 32)
        case .gone: ("terminated", 48)
        case .stopping: ("stopping", 64)
        case .stopped: ("stopped", 80)
        }
    }

    /// Why an instance is not running: code and sentence.
    static func reason(_ instance: Instance) -> (code: String, message: String)? {
        switch instance.phase {
        case .running: return nil
        case .launching, .starting: return ("pending", "pending")
        case .stopping, .stopped, .terminating, .gone:
            guard let fault = instance.fault else { return nil }
            let code = fault.prefix { $0 != ":" }
            // What began with no code of EC2's is the cloud's own doing.
            return code.utf8.count < fault.utf8.count && !code.contains(" ")
                ? (String(code), fault) : ("Server.InternalError", "Server.InternalError: \(fault)")
        }
    }

    /// `User initiated (2026-01-31 12:34:56 GMT)`, or the reason's own words.
    static func transition(_ instance: Instance) -> String {
        guard let reason = reason(instance), reason.code != "pending" else { return "" }
        guard reason.code == "Client.UserInitiatedShutdown" else { return reason.message }
        let time = instance.stateChanged.iso8601
        return "User initiated (\(time.prefix(10)) \(time.dropFirst(11).prefix(8)) GMT)"
    }

    /// What an image's owner pays for: nothing but Linux here.
    static let platform = "Linux/UNIX"
    static let usage = "RunInstances"
    /// AWS shows `xen` for every machine that is no bare metal, its KVM ones too.
    static let hypervisor = "xen"
    static let architecture = "x86_64"
    static let rootDevice = "/dev/sda1"
}
