//  Whether instances do well, and their processor credits.

import Authority
import Compute
import EC2Model
import Model
import Store

extension EC2Face {
    func describeInstanceStatus(
        _ request: EC2.DescribeInstanceStatusRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.DescribeInstanceStatusResult {
        let filter = try RowFilter(request.filters, StatusView.filters)
        let lost = try await compute.lostHosts()
        let showsAll = request.includeAllInstances ?? false
        let isShown: @Sendable (InstanceView) -> Bool = { view in
            (showsAll || view.instance.phase == .running) && filter.passes(StatusView(view, lost))
        }
        let page = try await instances(
            request.instanceIds, nil, request.maxResults, request.nextToken, for: .describeStatus, context, testing: isShown)
        var result = EC2.DescribeInstanceStatusResult()
        result.instanceStatuses = page.rows.map { status(StatusView($0, lost)) }
        result.nextToken = page.next
        return result
    }

    private func status(_ view: StatusView) -> EC2.InstanceStatus {
        var shown = EC2.InstanceStatus()
        shown.instanceId = view.machine.instance.id.shown
        shown.availabilityZone = view.machine.zone.name
        shown.availabilityZoneId = EC2Face.zoneId(view.machine.zone)
        shown.instanceState = EC2.InstanceState(view.machine.instance.phase)
        shown.instanceStatus = summary(view.instance)
        shown.systemStatus = summary(view.system)
        return shown
    }

    private func summary(_ health: StatusView.Health) -> EC2.InstanceStatusSummary {
        var detail = EC2.InstanceStatusDetails()
        detail.name = "reachability"
        detail.status = health.reachability
        var shown = EC2.InstanceStatusSummary()
        shown.status = health.rawValue
        shown.details = health == .notApplicable ? nil : [detail]
        return shown
    }

    func describeInstanceCreditSpecifications(
        _ request: EC2.DescribeInstanceCreditSpecificationsRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.DescribeInstanceCreditSpecificationsResult {
        let burstable: @Sendable (InstanceView) -> Bool = { InstanceType.named($0.instance.type)?.isBurstable == true }
        let page = try await instances(
            request.instanceIds, request.filters, request.maxResults, request.nextToken, for: .describeCredits, context,
            testing: burstable)
        var result = EC2.DescribeInstanceCreditSpecificationsResult()
        result.instanceCreditSpecifications = page.rows.map { view in
            var shown = EC2.InstanceCreditSpecification()
            shown.instanceId = view.instance.id.shown
            shown.cpuCredits = EC2Face.credits(of: view.instance.type)
            return shown
        }
        result.nextToken = page.next
        return result
    }

    /// What AWS gives a burstable instance that asks for nothing.
    static func credits(of type: String) -> String { type.hasPrefix("t2.") ? "standard" : "unlimited" }
}

/// A machine with what is known of its health.
struct StatusView: Sendable {
    enum Health: String, Sendable {
        case ok, impaired, initializing
        case insufficientData = "insufficient-data"
        case notApplicable = "not-applicable"

        var reachability: String {
            switch self {
            case .ok: "passed"
            case .impaired: "failed"
            case .initializing: "initializing"
            case .insufficientData, .notApplicable: "insufficient-data"
            }
        }
    }

    let machine: InstanceView
    let instance: Health
    let system: Health

    init(_ machine: InstanceView, _ lost: Set<ID<Host>>) {
        self.machine = machine
        switch machine.instance.phase {
        case .running:
            let isLost = machine.holding?.host.map(lost.contains) ?? false
            system = isLost ? .impaired : .ok
            switch machine.holding?.observed {
            case .running: instance = isLost ? .insufficientData : .ok
            case .failed, .off, .paused: instance = .impaired
            default: instance = .initializing
            }
        case .launching, .starting: (instance, system) = (.initializing, .initializing)
        default: (instance, system) = (.notApplicable, .notApplicable)
        }
    }

    static let filters = FilterTable<StatusView>([
        "availability-zone": { [$0.machine.zone.name] },
        "availability-zone-id": { [EC2Face.zoneId($0.machine.zone)] },
        "event.code": { _ in [] },
        "event.description": { _ in [] },
        "event.instance-event-id": { _ in [] },
        "event.not-after": { _ in [] },
        "event.not-before": { _ in [] },
        "event.not-before-deadline": { _ in [] },
        "instance-state-code": { [String(InstanceWords.state($0.machine.instance.phase).code)] },
        "instance-state-name": { [InstanceWords.state($0.machine.instance.phase).name] },
        "instance-status.reachability": { [$0.instance.reachability] },
        "instance-status.status": { [$0.instance.rawValue] },
        "system-status.reachability": { [$0.system.reachability] },
        "system-status.status": { [$0.system.rawValue] },
    ])
}
