//  The parser of forms and every generated reader against damaged requests.

import EC2Model
import Model
import Testing

@testable import AWSProtocol

@Suite struct QueryFuzzTests {
    static let seeds: [String] = [
        "Action=RunInstances&Version=2016-11-15&ImageId=ami-1&MinCount=1&MaxCount=2&BlockDeviceMapping.1.DeviceName=%2Fdev%2Fsda1"
            + "&BlockDeviceMapping.1.Ebs.VolumeSize=8&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=a+b"
            + "&NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.PrivateIpAddresses.1.Primary=true&UserData=aGk%3D",
        "Action=DescribeInstances&Filter.1.Name=tag%3AName&Filter.1.Value.1=*&Filter.1.Value.2=%C3%A9&MaxResults=5&DryRun=false",
        "Action=ModifyInstanceAttribute&InstanceId=i-1&UserData.Value=aGk%3D&DisableApiTermination.Value=true&GroupId.1=sg-1",
        "Action=DescribeInstanceStatus&InstanceId.1=i-1&InstanceId.2=i-2&IncludeAllInstances=TRUE",
    ]

    static let expected: Set<Fault.Code> = [
        .malformedRequest, .tooLarge, .unknownParameter, .missingParameter, .invalidParameter,
    ]

    @Test(arguments: [1, 2, 3] as [UInt64])
    func damagedForms(seed: UInt64) throws {
        var dice = Dice(seed: seed)
        let readers = ec2RequestReaders.sorted { $0.key < $1.key }.map(\.value)
        var accepted = 0
        for round in 0..<3000 {
            let form = mutated(Self.seeds, &dice)
            do throws(Fault) {
                let query = try Query(FormParameters(form), round % 2 == 0 ? .ec2 : .query)
                for reader in [readers[round % readers.count], readers[Int.random(in: 0..<readers.count, using: &dice)]] {
                    _ = try reader(query)
                    accepted += 1
                }
            } catch {
                #expect(Self.expected.contains(error.code), "seed \(seed), round \(round): \(error)")
                // The query services list all that an enumeration allows.
                #expect(error.message.utf8.count < 4000, "seed \(seed), round \(round)")
            }
        }
        // Where nothing is accepted, the readers were never reached.
        #expect(accepted > 0, "seed \(seed)")
    }

    /// A request of each action, cut, joined and spoilt in a few places.
    private func mutated(_ seeds: [String], _ dice: inout Dice) -> [UInt8] {
        var bytes = Array((seeds.randomElement(using: &dice) ?? "").utf8)
        let pieces: [String] = [
            "&", "=", ".", "%", "+", "%00", "%ff", ".1", ".99999999999999999999", "&Filter.1=", "..", "\u{0}", "é",
        ]
        for _ in 0..<Int.random(in: 0...4, using: &dice) where !bytes.isEmpty {
            let position = Int.random(in: 0..<bytes.count, using: &dice)
            switch Int.random(in: 0..<5, using: &dice) {
            case 0: bytes[position] = UInt8.random(in: .min ... .max, using: &dice)
            case 1: bytes.insert(contentsOf: Array((pieces.randomElement(using: &dice) ?? "").utf8), at: position)
            case 2: bytes.removeSubrange(position..<min(bytes.count, position + Int.random(in: 1...20, using: &dice)))
            case 3: bytes.insert(contentsOf: bytes[position..<min(bytes.count, position + 30)], at: position)
            default: bytes += Array("&\(seeds.randomElement(using: &dice) ?? "")".utf8.prefix(Int.random(in: 0...80, using: &dice)))
            }
        }
        return bytes
    }

    @Test func aLongList() throws {
        let form = (1...9000).map { "InstanceId.\($0)=i-\($0)" }.joined(separator: "&")
        let request = try EC2.TerminateInstancesRequest(query: query("Action=TerminateInstances&\(form)"))
        #expect(request.instanceIds?.count == 9000)
        #expect(request.instanceIds?.last == "i-9000")
    }
}
