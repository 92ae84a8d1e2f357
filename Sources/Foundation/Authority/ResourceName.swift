//  Amazon Resource Names: how policies name things. The core keeps ids; a name is made of one when
//  a call is authorized, and shown in refusals.

import Model

/// `arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE` (AWS General Reference, "Amazon Resource Names").
public struct ResourceName: Sendable, Hashable, CustomStringConvertible {
    public var partition: String
    public var service: String
    /// Empty for services without regions.
    public var region: String
    /// Twelve digits, or empty.
    public var account: String
    /// What follows the fifth colon, such as `instance/i-0123`; may hold colons and slashes.
    public var resource: String

    public init(partition: String = "aws", service: String, region: String = "", account: String = "", resource: String) {
        self.partition = partition
        self.service = service
        self.region = region
        self.account = account
        self.resource = resource
    }

    /// Reads a whole name; nil unless it has all six parts and at most 2,048 bytes.
    public init?(_ text: some StringProtocol) {
        guard text.utf8.count <= ResourceName.bytesMax else { return nil }
        let parts = text.split(separator: ":", maxSplits: 5, omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0] == "arn", !parts[1].isEmpty, !parts[2].isEmpty, !parts[5].isEmpty else { return nil }
        self.init(
            partition: String(parts[1]), service: String(parts[2]), region: String(parts[3]), account: String(parts[4]),
            resource: String(parts[5]))
    }

    static let bytesMax = 2048

    public var description: String { "arn:\(partition):\(service):\(region):\(account):\(resource)" }

    /// The name of an IAM thing such as `user/alice` or `root`.
    public static func identity(_ resource: String, account: String) -> ResourceName {
        ResourceName(service: "iam", account: account, resource: resource)
    }
}
