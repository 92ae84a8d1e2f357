//  Instance types: what there is, and where.

import Authority
import Compute
import EC2Model
import Model
import Store

extension EC2Face {
    func describeInstanceTypes(
        _ request: EC2.DescribeInstanceTypesRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.DescribeInstanceTypesResult {
        let names = request.instanceTypes ?? []
        let filter = try RowFilter(request.filters, EC2Face.typeFilters)
        let paging = try Paging(
            max: request.maxResults, token: request.nextToken, in: 5...100, hasIds: !names.isEmpty, idsName: "instanceTypes",
            context)
        let all = try compute.instanceTypes(by: context.call)
        let unknown = names.filter { name in !all.contains { $0.name == name } }
        guard unknown.isEmpty else {
            throw Fault(
                .notFound, "The following supplied instance types do not exist: [\(unknown.joined(separator: ", "))]",
                kind: .instanceType)
        }
        let chosen = all.filter { names.isEmpty || names.contains($0.name) }
        let page = try await paging.collect(chosen, place: \.name, passes: filter.passes)
        var result = EC2.DescribeInstanceTypesResult()
        result.instanceTypes = page.rows.map(type)
        result.nextToken = page.next
        return result
    }

    private func type(_ type: InstanceType) -> EC2.InstanceTypeInfo {
        var shown = EC2.InstanceTypeInfo()
        shown.instanceType = type.name
        shown.currentGeneration = TypeWords.isCurrent(type)
        shown.freeTierEligible = false
        shown.supportedUsageClasses = ["on-demand"]
        shown.supportedRootDeviceTypes = ["ebs"]
        shown.supportedVirtualizationTypes = ["hvm"]
        shown.bareMetal = false
        shown.hypervisor = TypeWords.hypervisor(type)
        var processor = EC2.ProcessorInfo()
        processor.supportedArchitectures = [InstanceWords.architecture]
        shown.processorInfo = processor
        var processors = EC2.VCpuInfo()
        processors.defaultVCpus = Int(type.processors)
        processors.defaultCores = Int(type.processors)
        processors.defaultThreadsPerCore = 1
        shown.vCpuInfo = processors
        var memory = EC2.MemoryInfo()
        memory.sizeInMiB = Int(type.memory.mebibytes)
        shown.memoryInfo = memory
        shown.instanceStorageSupported = false
        shown.ebsInfo = disks()
        shown.networkInfo = network()
        var placement = EC2.PlacementGroupInfo()
        placement.supportedStrategies = []
        shown.placementGroupInfo = placement
        shown.hibernationSupported = false
        shown.burstablePerformanceSupported = type.isBurstable
        shown.dedicatedHostsSupported = false
        shown.autoRecoverySupported = false
        shown.supportedBootModes = ["legacy-bios"]
        shown.nitroEnclavesSupport = "unsupported"
        shown.nitroTpmSupport = "unsupported"
        return shown
    }

    private func disks() -> EC2.EbsInfo {
        var shown = EC2.EbsInfo()
        shown.ebsOptimizedSupport = "default"
        shown.encryptionSupport = "unsupported"
        shown.nvmeSupport = "unsupported"
        return shown
    }

    private func network() -> EC2.NetworkInfo {
        var card = EC2.NetworkCardInfo()
        card.networkCardIndex = 0
        card.networkPerformance = "Up to 10 Gigabit"
        card.maximumNetworkInterfaces = 1
        var shown = EC2.NetworkInfo()
        shown.networkPerformance = card.networkPerformance
        shown.maximumNetworkInterfaces = 1
        shown.maximumNetworkCards = 1
        shown.defaultNetworkCardIndex = 0
        shown.networkCards = [card]
        shown.ipv4AddressesPerInterface = 1
        shown.ipv6AddressesPerInterface = 0
        shown.ipv6Supported = false
        shown.enaSupport = "supported"
        shown.efaSupported = false
        shown.encryptionInTransitSupported = false
        shown.enaSrdSupported = false
        return shown
    }

    func describeInstanceTypeOfferings(
        _ request: EC2.DescribeInstanceTypeOfferingsRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.DescribeInstanceTypeOfferingsResult {
        let location = request.locationType ?? "region"
        let filter = try RowFilter(request.filters, EC2Face.offeringFilters)
        let paging = try Paging(max: request.maxResults, token: request.nextToken, context)
        let types = try compute.instanceTypes(for: .describeOfferings, by: context.call)
        var places: [String] = []
        switch location {
        case "region": places = [region]
        case "availability-zone": places = try await compute.zones(for: .describeOfferings, by: context.call).map(\.name)
        case "availability-zone-id": places = try await compute.zones(for: .describeOfferings, by: context.call).map(EC2Face.zoneId)
        // No outposts here.
        default: break
        }
        let all = places.flatMap { place in
            types.map { type in
                var offering = EC2.InstanceTypeOffering()
                offering.instanceType = type.name
                offering.location = place
                offering.locationType = location
                return offering
            }
        }
        let page = try await paging.collect(
            all, place: { "\($0.location ?? "") \($0.instanceType ?? "")" }, passes: filter.passes)
        var result = EC2.DescribeInstanceTypeOfferingsResult()
        result.instanceTypeOfferings = page.rows
        result.nextToken = page.next
        return result
    }

    private static let offeringFilters = FilterTable<EC2.InstanceTypeOffering>([
        "instance-type": { [$0.instanceType ?? ""] },
        "location": { [$0.location ?? ""] },
    ])

    private static let typeFilters = FilterTable<InstanceType>([
        "auto-recovery-supported": { _ in ["false"] },
        "bare-metal": { _ in ["false"] },
        "burstable-performance-supported": { [Wire.word($0.isBurstable)] },
        "current-generation": { [Wire.word(TypeWords.isCurrent($0))] },
        "dedicated-hosts-supported": { _ in ["false"] },
        "ebs-info.ebs-optimized-support": { _ in ["default"] },
        "ebs-info.encryption-support": { _ in ["unsupported"] },
        "ebs-info.nvme-support": { _ in ["unsupported"] },
        "free-tier-eligible": { _ in ["false"] },
        "hibernation-supported": { _ in ["false"] },
        "hypervisor": { [TypeWords.hypervisor($0)] },
        "instance-storage-supported": { _ in ["false"] },
        "instance-type": { [$0.name] },
        "memory-info.size-in-mib": { [String($0.memory.mebibytes)] },
        "network-info.efa-supported": { _ in ["false"] },
        "network-info.ena-support": { _ in ["supported"] },
        "network-info.encryption-in-transit-supported": { _ in ["false"] },
        "network-info.ipv4-addresses-per-interface": { _ in ["1"] },
        "network-info.ipv6-addresses-per-interface": { _ in ["0"] },
        "network-info.ipv6-supported": { _ in ["false"] },
        "network-info.maximum-network-cards": { _ in ["1"] },
        "network-info.maximum-network-interfaces": { _ in ["1"] },
        "nitro-enclaves-support": { _ in ["unsupported"] },
        "nitro-tpm-support": { _ in ["unsupported"] },
        "processor-info.supported-architecture": { _ in [InstanceWords.architecture] },
        "supported-boot-mode": { _ in ["legacy-bios"] },
        "supported-root-device-type": { _ in ["ebs"] },
        "supported-usage-class": { _ in ["on-demand"] },
        "supported-virtualization-type": { _ in ["hvm"] },
        "vcpu-info.default-cores": { [String($0.processors)] },
        "vcpu-info.default-threads-per-core": { _ in ["1"] },
        "vcpu-info.default-vcpus": { [String($0.processors)] },
    ])
}

/// What AWS says of its own types of the same names.
enum TypeWords {
    static func isCurrent(_ type: InstanceType) -> Bool { !type.name.hasPrefix("m1.") }

    static func hypervisor(_ type: InstanceType) -> String {
        ["m1.", "t2."].contains { type.name.hasPrefix($0) } ? "xen" : "nitro"
    }
}
