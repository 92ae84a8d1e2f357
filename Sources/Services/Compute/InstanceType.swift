//  The instance types: what a machine of each really gets. They are AWS's names with AWS's sizes,
//  so that scripts and modules written for it choose sensibly here.

import Authority
import Model
import Store

/// A size of machine.
public struct InstanceType: Sendable, Hashable {
    public var name: String
    public var processors: Int64
    public var memory: ByteCount
    public var isBurstable: Bool

    init(_ name: String, _ processors: Int64, mebibytes: Int64, burstable: Bool = false) {
        self.name = name
        self.processors = processors
        memory = .mebibytes(mebibytes)
        isBurstable = burstable
    }

    /// All types, in order of family and size.
    public static let all: [InstanceType] = [
        InstanceType("t2.nano", 1, mebibytes: 512, burstable: true),
        InstanceType("t2.micro", 1, mebibytes: 1024, burstable: true),
        InstanceType("t2.small", 1, mebibytes: 2048, burstable: true),
        InstanceType("t2.medium", 2, mebibytes: 4096, burstable: true),
        InstanceType("t2.large", 2, mebibytes: 8192, burstable: true),
        InstanceType("t3.nano", 2, mebibytes: 512, burstable: true),
        InstanceType("t3.micro", 2, mebibytes: 1024, burstable: true),
        InstanceType("t3.small", 2, mebibytes: 2048, burstable: true),
        InstanceType("t3.medium", 2, mebibytes: 4096, burstable: true),
        InstanceType("t3.large", 2, mebibytes: 8192, burstable: true),
        InstanceType("t3.xlarge", 4, mebibytes: 16384, burstable: true),
        InstanceType("t3.2xlarge", 8, mebibytes: 32768, burstable: true),
        InstanceType("m1.small", 1, mebibytes: 1740),
        InstanceType("m1.medium", 1, mebibytes: 3840),
        InstanceType("m1.large", 2, mebibytes: 7680),
        InstanceType("m5.large", 2, mebibytes: 8192),
        InstanceType("m5.xlarge", 4, mebibytes: 16384),
        InstanceType("m5.2xlarge", 8, mebibytes: 32768),
        InstanceType("m5.4xlarge", 16, mebibytes: 65536),
        InstanceType("m5.8xlarge", 32, mebibytes: 131072),
        InstanceType("c5.large", 2, mebibytes: 4096),
        InstanceType("c5.xlarge", 4, mebibytes: 8192),
        InstanceType("c5.2xlarge", 8, mebibytes: 16384),
        InstanceType("c5.4xlarge", 16, mebibytes: 32768),
        InstanceType("r5.large", 2, mebibytes: 16384),
        InstanceType("r5.xlarge", 4, mebibytes: 32768),
        InstanceType("r5.2xlarge", 8, mebibytes: 65536),
        InstanceType("r5.4xlarge", 16, mebibytes: 131072),
    ]

    private static let byName = Dictionary(all.map { ($0.name, $0) }) { first, _ in first }

    public static func named(_ name: String) -> InstanceType? { byName[name] }

    /// What AWS takes when a launch names none.
    public static let fallback = "m1.small"
}

extension ComputeService {
    /// All types that a launch may name.
    public func instanceTypes(for action: Action<Instance> = .describeTypes, by call: Call) throws(Fault) -> [InstanceType] {
        try call.permitList(action)
        return InstanceType.all
    }
}
