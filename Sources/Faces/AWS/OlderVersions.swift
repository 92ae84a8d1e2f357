//  What clients of EC2's earlier versions say and expect differently; the version that a call names
//  tells them apart. DescribeInstanceTypes above all: Eucalyptus had it before EC2 did, with another
//  answer under the same name.

import AWSProtocol
import Compute
import Model

/// The difference that a call's version makes.
enum OlderVersions {
    /// Names of parameters that actions once took, with today's. boto 2 sends lists where one id is meant.
    private static let names: [String: [(older: String, today: String)]] = [
        "GetConsoleOutput": [("InstanceId.1", "InstanceId")]
    ]

    /// Whether a version is from before EC2 itself had an action DescribeInstanceTypes.
    static func isOlder(_ version: String?) -> Bool { version.map { $0.prefix(4) < "2016" } ?? false }

    /// Spells an older call's parameters as today's.
    static func adapt(_ form: inout FormParameters) {
        let parameters = form.parameters
        let value = { (name: String) in parameters.first { $0.name == name }?.value }
        guard isOlder(value("Version")), let action = value("Action"), let renamed = names[action] else { return }
        for name in renamed { form.rename(name.older, to: name.today) }
    }
}

extension EC2Face {
    /// `instanceTypeDetails/item/{name, cpu, disk, memory, availability/item/{zoneName, max, available}}`,
    /// memory in MiB and disk in GiB; availability for who asks for it.
    func olderInstanceTypes(
        _ query: Query, namespace: String, requestID: String, _ context: EC2Call
    ) async throws(Fault) -> [UInt8] {
        var fields = try Fields(query)
        let names = try fields.take("InstanceType")?.strings(count: 0...100) ?? []
        let wantsRoom = try fields.take("Availability")?.boolean() ?? false
        // Eucalyptus said more of a type to who asked; there is no more here.
        _ = try fields.take("Verbose")?.boolean()
        try fields.finish()
        let all = try compute.instanceTypes(by: context.call)
        if let unknown = names.first(where: { name in !all.contains { $0.name == name } }) {
            throw Fault(.notFound, "The instance type '\(unknown)' does not exist", kind: .instanceType)
        }
        let types = all.filter { names.isEmpty || names.contains($0.name) }
        let rooms = wantsRoom ? try await compute.rooms(for: types, by: context.call) : [:]
        return ResponseEnvelope(.ec2, namespace: namespace, requestID: requestID).body(
            "DescribeInstanceTypes", capacity: 16_384
        ) { xml in
            xml.open("instanceTypeDetails")
            for type in types { write(type, rooms[type.name], &xml) }
            xml.close("instanceTypeDetails")
        }
    }

    private func write(_ type: InstanceType, _ rooms: [TypeRoom]?, _ xml: inout XMLWriter) {
        xml.open("item")
        xml.element("name", type.name)
        xml.element("cpu", Int(type.processors))
        // A root disk is as large as its image, or as the launch says.
        xml.element("disk", 0)
        xml.element("memory", Int(type.memory.mebibytes))
        if let rooms {
            xml.open("availability")
            for room in rooms {
                xml.open("item")
                xml.element("zoneName", room.zone)
                xml.element("max", Int(room.most))
                xml.element("available", Int(room.free))
                xml.close("item")
            }
            xml.close("availability")
        }
        xml.close("item")
    }
}
