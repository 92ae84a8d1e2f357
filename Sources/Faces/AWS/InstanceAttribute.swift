//  Attributes of an instance: read one by one, and changed one by one.

import Authority
import Compute
import EC2Model
import FoundationEssentials
import Model
import Store

extension EC2Face {
    func describeInstanceAttribute(
        _ request: EC2.DescribeInstanceAttributeRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.InstanceAttribute {
        let id: ID<Instance> = try AWSID.parse(request.instanceId ?? "")
        let views = try await compute.instances([id], for: .describeAttribute, by: context.call)
        guard let view = views.first, let attribute = request.attribute else { throw Fault(missing: id.erased) }
        var result = EC2.InstanceAttribute()
        result.instanceId = id.shown
        if attribute == "userData" {
            // An instance without user data has the attribute, and no value in it.
            result.userData = EC2.AttributeValue(
                try await compute.userData(of: id, by: context.call).map { Data($0).base64EncodedString() })
        } else {
            try set(attribute, of: &result, view)
        }
        return result
    }

    private func set(_ attribute: String, of result: inout EC2.InstanceAttribute, _ view: InstanceView) throws(Fault) {
        let instance = view.instance
        switch attribute {
        case "instanceType": result.instanceType = .init(instance.type)
        case "kernel": result.kernelId = .init(instance.kernel.map { AWSID.shown($0, .kernel) })
        case "ramdisk": result.ramdiskId = .init(instance.ramdisk.map { AWSID.shown($0, .ramdisk) })
        case "disableApiTermination": result.disableApiTermination = .init(instance.options.disableTermination)
        case "disableApiStop": result.disableApiStop = .init(instance.options.disableStop)
        case "instanceInitiatedShutdownBehavior":
            result.instanceInitiatedShutdownBehavior = .init(instance.options.terminateOnShutdown ? "terminate" : "stop")
        case "rootDeviceName": result.rootDeviceName = .init(InstanceFilters.rootDevice(view))
        case "blockDeviceMapping": result.blockDeviceMappings = blockDevices(view)
        case "productCodes": result.productCodes = []
        case "sourceDestCheck": result.sourceDestCheck = .init(view.ports.first?.port.sourceCheck ?? true)
        case "groupSet": result.groups = view.ports.first?.groups.map(EC2.GroupIdentifier.init) ?? []
        case "ebsOptimized": result.ebsOptimized = .init(instance.options.ebsOptimized)
        case "sriovNetSupport": result.sriovNetSupport = .init(nil)
        case "enaSupport": result.enaSupport = .init(true)
        case "enclaveOptions":
            var enclave = EC2.EnclaveOptions()
            enclave.enabled = false
            result.enclaveOptions = enclave
        default: throw Fault(.invalidParameter, "Value (\(attribute)) for parameter attribute is invalid.")
        }
    }

    func modifyInstanceAttribute(_ request: EC2.ModifyInstanceAttributeRequest, _ context: EC2Call) async throws(Fault) {
        let id: ID<Instance> = try AWSID.parse(request.instanceId ?? "")
        for change in try InstanceChange.read(request) { try await compute.modify(id, change, by: context.call) }
    }
}

extension InstanceChange {
    /// The one attribute that a request changes; several for the disks of a machine.
    static func read(_ request: EC2.ModifyInstanceAttributeRequest) throws(Fault) -> [InstanceChange] {
        var changes: [[InstanceChange]] = []
        if let attribute = request.attribute {
            changes.append(try byName(attribute, request.value, request))
        } else if let mappings = request.blockDeviceMappings, !mappings.isEmpty {
            changes.append(try disks(mappings))
        }
        if let value = request.disableApiTermination?.value { changes.append([.disableTermination(value)]) }
        if let value = request.disableApiStop?.value { changes.append([.disableStop(value)]) }
        if let value = request.sourceDestCheck?.value { changes.append([.sourceCheck(value)]) }
        if let value = request.ebsOptimized?.value { changes.append([.ebsOptimized(value)]) }
        if let value = request.instanceType?.value { changes.append([try size(value)]) }
        if let value = request.instanceInitiatedShutdownBehavior?.value { changes.append([try shutdown(value)]) }
        if let value = request.userData { changes.append([try data(value.value ?? [])]) }
        if let groups = request.groups, !groups.isEmpty { changes.append([.groups(try AWSID.parse(all: groups))]) }
        for (name, isGiven) in [
            ("Kernel", request.kernel != nil), ("Ramdisk", request.ramdisk != nil), ("EnaSupport", request.enaSupport != nil),
            ("SriovNetSupport", request.sriovNetSupport != nil), ("EnclaveOptions", request.enclaveOptions != nil),
        ] where isGiven { throw Fault(.notSupported, "The parameter \(name) is not supported by this cloud.") }
        guard let change = changes.first else { throw Fault(.missingParameter, "No attributes specified.") }
        guard changes.count == 1 else {
            throw Fault(.conflictingParameters, "Fields for multiple attribute types specified")
        }
        return change
    }

    /// The old form: `Attribute=instanceType`, `Value=t3.micro`.
    private static func byName(
        _ attribute: String, _ value: String?, _ request: EC2.ModifyInstanceAttributeRequest
    ) throws(Fault) -> [InstanceChange] {
        if attribute == "blockDeviceMapping" { return try disks(request.blockDeviceMappings ?? []) }
        if attribute == "groupSet" {
            // The groups stand in a list of their own, which is then read with the others.
            throw Fault(.conflictingParameters, "The attribute groupSet is changed by GroupId")
        }
        guard let value else { throw Fault(.missingParameter, "The request must contain the parameter Value") }
        switch attribute {
        case "disableApiTermination": return [.disableTermination(try flag(value))]
        case "disableApiStop": return [.disableStop(try flag(value))]
        case "sourceDestCheck": return [.sourceCheck(try flag(value))]
        case "ebsOptimized": return [.ebsOptimized(try flag(value))]
        case "instanceType": return [try size(value)]
        case "instanceInitiatedShutdownBehavior": return [try shutdown(value)]
        case "userData":
            guard let bytes = Data(base64Encoded: value) else {
                throw Fault(.invalidParameter, "Invalid BASE64 encoding of user data")
            }
            return [try data(Array(bytes))]
        default: throw Fault(.notSupported, "The attribute \(attribute) cannot be changed on this cloud.")
        }
    }

    private static func flag(_ text: String) throws(Fault) -> Bool {
        switch text.lowercased() {
        case "true": return true
        case "false": return false
        default:
            throw Fault(.invalidParameter, "Value (\(text.prefix(64))) for parameter value is invalid. Expecting true or false.")
        }
    }

    private static func size(_ name: String) throws(Fault) -> InstanceChange {
        guard let type = InstanceType.named(name) else {
            throw Fault(.invalidParameter, "Invalid value '\(name.prefix(64))' for InstanceType.", kind: .attachment)
        }
        return .type(type)
    }

    private static func shutdown(_ word: String) throws(Fault) -> InstanceChange {
        switch word {
        case "stop": return .terminateOnShutdown(false)
        case "terminate": return .terminateOnShutdown(true)
        default:
            throw Fault(
                .invalidParameter, "Value (\(word.prefix(64))) for parameter instanceInitiatedShutdownBehavior is invalid.")
        }
    }

    private static func data(_ bytes: [UInt8]) throws(Fault) -> InstanceChange {
        guard bytes.count <= LaunchTranslation.userDataBytesMax else {
            throw Fault(.invalidParameter, "User data is limited to \(LaunchTranslation.userDataBytesMax) bytes")
        }
        return .userData(bytes)
    }

    private static func disks(_ mappings: [EC2.InstanceBlockDeviceMappingSpecification]) throws(Fault) -> [InstanceChange] {
        try mappings.map { mapping throws(Fault) in
            guard let device = mapping.deviceName, let keeps = mapping.ebs?.deleteOnTermination, mapping.noDevice == nil,
                mapping.virtualName == nil
            else {
                throw Fault(
                    .invalidParameter, "A block device mapping needs DeviceName and Ebs.DeleteOnTermination, and may hold no more.",
                    kind: .attachment)
            }
            return .deleteOnTermination(device: device, keeps)
        }
    }
}

extension EC2.AttributeValue {
    init(_ value: String?) {
        self.init()
        self.value = value
    }
}

extension EC2.AttributeBooleanValue {
    init(_ value: Bool) {
        self.init()
        self.value = value
    }
}
