//  Which service a call is for: by its signature's scope, then by path, then by Host. An unknown
//  Host is never refused. What is left and has a path is for the object store: no other service has.

import AWSProtocol
import S3

/// A service of AWS.
enum AWSService: Sendable, Hashable {
    case ec2, sts, s3
    /// One that this cloud does not speak, by its name in scopes.
    case other(String)

    var dialect: Dialect { self == .ec2 ? .ec2 : .query }

    /// For meters.
    var label: String {
        switch self {
        case .ec2: "ec2"
        case .sts: "sts"
        case .s3: "s3"
        case .other: "other"
        }
    }

    var namespace: String {
        switch self {
        case .ec2, .s3, .other: ""
        case .sts: "https://sts.amazonaws.com/doc/2011-06-15/"
        }
    }

    /// The name of a service that this face does not speak itself.
    var unspoken: String? {
        switch self {
        case .ec2, .sts: nil
        case .s3: "s3"
        case .other(let name): name
        }
    }

    /// The service in the scope of a signature, nothing of which is proven; nil where there is none.
    ///
    /// - Parameters:
    ///   - header: The `Authorization` header.
    ///   - query: As sent.
    static func scope(header: String?, query: String) -> String? {
        if let header {
            // Signature Version 2 in a header is spoken by the object store alone.
            if header.hasPrefix("AWS ") { return "s3" }
            let fields = header.utf8.split { $0 == UInt8(ascii: ",") || $0 == UInt8(ascii: " ") }
            guard let credential = fields.first(where: { $0.starts(with: "Credential=".utf8) }) else { return nil }
            let parts = credential.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            return parts.count >= 5 ? String(Substring(parts[parts.count - 2])) : nil
        }
        let parameter = query.split(separator: "&").first { $0.hasPrefix("X-Amz-Credential=") }
        guard let credential = parameter?.dropFirst("X-Amz-Credential=".utf8.count) else {
            return isPresignedInVersion2(query) ? "s3" : nil
        }
        return service(
            inCredential: credential, separator: credential.contains("%2F") ? "%2F" : credential.contains("%2f") ? "%2f" : "/")
    }

    /// Whether the query has a presigned address's three parameters. The other services' calls name the
    /// version of their signatures.
    private static func isPresignedInVersion2(_ query: String) -> Bool {
        let names = query.split(separator: "&").map { $0.prefix { $0 != "=" } }
        return ["AWSAccessKeyId", "Signature", "Expires"].allSatisfy(names.contains) && !names.contains("SignatureVersion")
    }

    /// `AKIA…/20130524/us-east-1/s3/aws4_request`
    private static func service(inCredential text: Substring, separator: String) -> String? {
        let parts = text.split(separator: separator, omittingEmptySubsequences: false)
        return parts.count >= 5 ? String(parts[parts.count - 2]) : nil
    }

    /// The service of a call.
    ///
    /// - Parameters:
    ///   - scope: The service's name in the signature's scope, if the call is signed. Old clients make
    ///     one up from the host's name, so one that is no service's decides nothing.
    ///   - path: Without the query.
    static func of(scope: String?, path: String, host: String?) -> AWSService {
        // A website's pages have whatever paths their owner gives them.
        if let host, BucketHost(host)?.isWebsite == true { return .s3 }
        if let scope, let service = byScope[scope] { return service }
        if let service = byPath(path) { return service }
        if let host, BucketHost(host) != nil { return .s3 }
        if let label = host?.split(separator: ".").first, let service = byHost[label.lowercased()] { return service }
        return path.contains { $0 != "/" } ? .s3 : .ec2
    }

    private static let byScope: [String: AWSService] = {
        var services: [String: AWSService] = ["ec2": .ec2, "sts": .sts, "s3": .s3]
        for name in [
            "iam", "elasticloadbalancing", "autoscaling", "monitoring", "cloudformation", "route53", "sqs", "sns", "rds",
            "swf",
            "logs", "ssm", "kms", "ecr", "dynamodb", "secretsmanager",
        ] { services[name] = .other(name) }
        return services
    }()

    private static func byPath(_ path: String) -> AWSService? {
        let parts = path.split(separator: "/", maxSplits: 3)
        guard parts.count >= 2, parts[0] == "services" else { return nil }
        switch parts[1].lowercased() {
        case "compute", "eucalyptus": return .ec2
        case "tokens": return .sts
        case "euare": return .other("iam")
        case "objectstorage", "walrus": return .other("s3")
        case "loadbalancing", "loadbalancingv2": return .other("elasticloadbalancing")
        case "autoscaling": return .other("autoscaling")
        case "cloudwatch": return .other("monitoring")
        case "cloudformation": return .other("cloudformation")
        case let name: return .other(name)
        }
    }

    private static let byHost: [String: AWSService] = [
        "ec2": .ec2, "compute": .ec2, "sts": .sts, "tokens": .sts, "iam": .other("iam"), "euare": .other("iam"), "s3": .s3,
        "objectstorage": .s3, "elasticloadbalancing": .other("elasticloadbalancing"),
        "autoscaling": .other("autoscaling"), "monitoring": .other("monitoring"), "cloudformation": .other("cloudformation"),
    ]
}
