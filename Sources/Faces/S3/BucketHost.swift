//  Buckets in the Host header: `bucket.s3.example.com`, as virtual-hosted-style addresses have them (Amazon
//  S3 User Guide, "Virtual hosting of buckets"), and websites' own hosts.

import AWSProtocol
import Hummingbird
import Objects

/// What a Host header says of a bucket.
public struct BucketHost: Sendable, Hashable {
    public var bucket: String
    /// Whether it asks for the bucket as a website.
    public var isWebsite: Bool

    /// Nil for a host that names no bucket.
    ///
    /// - Parameter host: With its port, if it has one.
    public init?(_ host: String) {
        let name = host.prefix { $0 != ":" }.lowercased()
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        // A bucket's own name may have such a label too: the last one is the service's.
        if let place = labels.lastIndex(where: { BucketHost.service($0) != nil }), let service = BucketHost.service(labels[place]) {
            guard place > 0 else { return nil }
            bucket = labels[..<place].joined(separator: ".")
            isWebsite = service == .website
            return
        }
        // Every name under this one leads to the machine itself (RFC 6761, section 6.3).
        guard labels.count > 1, labels.last == "localhost", let first = labels.first, !BucketHost.others.contains(first) else {
            return nil
        }
        bucket = labels.dropLast().joined(separator: ".")
        isWebsite = false
    }

    private enum Service { case objects, website }

    private static func service(_ label: Substring) -> Service? {
        if label == "s3-website" || label.hasPrefix("s3-website-") { return .website }
        return label == "s3" || label == "objectstorage" || label.hasPrefix("s3-") ? .objects : nil
    }

    /// First labels of the hosts of other services.
    private static let others: Set<Substring> = [
        "ec2", "compute", "sts", "tokens", "iam", "euare", "elasticloadbalancing", "autoscaling", "monitoring", "cloudformation",
    ]
}

extension Request {
    /// The bucket that the Host header names.
    var bucketHost: BucketHost? { head.authority.flatMap(BucketHost.init) }
}

extension S3Responder {
    /// The address of an object, by the name under which the client reached this store.
    func location(of name: ObjectName, _ call: S3Call) -> String {
        let host = call.request.head.authority ?? "localhost"
        let bucket = call.request.bucketHost == nil ? "/\(name.bucket)" : ""
        return "\(isSecure ? "https" : "http")://\(host)\(bucket)/\(PercentEncoding.encoded(Array(name.key.bytes)))"
    }
}
