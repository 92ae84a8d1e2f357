//  The policies that every account has from the start, named and shaped as AWS names and shapes
//  them.

import Model

/// A policy that the cloud itself provides.
public struct ManagedPolicy: Sendable, Hashable {
    public let name: String
    /// The document's JSON, as GetPolicyVersion shows it.
    public let text: String
    public let document: PolicyDocument

    /// `arn:aws:iam::aws:policy/NAME`
    public var resourceName: ResourceName { .identity("policy/\(name)", account: "aws") }

    /// Everything.
    public static let administratorAccess = ManagedPolicy(
        name: "AdministratorAccess", statements: [(["*"], "*")])

    /// Everything that only looks, of the services that there are or will be.
    public static let readOnlyAccess = ManagedPolicy(
        name: "ReadOnlyAccess", statements: [(readOnlyActions, "*")])

    public static let all = [administratorAccess, readOnlyAccess]

    private static let readOnlyActions = [
        "autoscaling:Describe*", "autoscaling:GetPredictiveScalingForecast",
        "cloudformation:Describe*", "cloudformation:Detect*", "cloudformation:EstimateTemplateCost", "cloudformation:Get*",
        "cloudformation:List*", "cloudformation:ValidateTemplate",
        "cloudwatch:Describe*", "cloudwatch:Get*", "cloudwatch:List*",
        "ec2:Describe*", "ec2:Get*", "ec2:ListImagesInRecycleBin", "ec2:ListSnapshotsInRecycleBin",
        "ec2:SearchTransitGatewayRoutes",
        "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:Describe*", "ecr:Get*", "ecr:List*",
        "elasticloadbalancing:Describe*",
        "iam:Generate*", "iam:Get*", "iam:List*", "iam:Simulate*",
        "kms:Describe*", "kms:Get*", "kms:List*",
        "logs:Describe*", "logs:FilterLogEvents", "logs:Get*", "logs:List*", "logs:TestMetricFilter",
        "rds:Describe*", "rds:List*",
        "route53:Get*", "route53:List*", "route53:TestDNSAnswer",
        "s3:Describe*", "s3:Get*", "s3:List*",
        "sns:Get*", "sns:List*",
        "sqs:Get*", "sqs:List*",
        "ssm:Describe*", "ssm:Get*", "ssm:List*",
        "sts:GetAccessKeyInfo", "sts:GetCallerIdentity", "sts:GetSessionToken",
        "swf:Count*", "swf:Describe*", "swf:Get*", "swf:List*",
        "tag:Get*",
    ]

    private init(name: String, statements: [(actions: [String], resource: String)]) {
        let actionReading = PolicyPattern.Reading(wildcards: true, variables: false, ignoringCase: true)
        let resourceReading = PolicyPattern.Reading(wildcards: true, variables: true)
        self.name = name
        let texts = statements.map { statement in
            let actions = statement.actions.map { "\"\($0)\"" }.joined(separator: ",")
            return "{\"Effect\":\"Allow\",\"Action\":[\(actions)],\"Resource\":\"\(statement.resource)\"}"
        }
        text = "{\"Version\":\"2012-10-17\",\"Statement\":[\(texts.joined(separator: ","))]}"
        document = PolicyDocument(
            version: "2012-10-17", id: nil,
            statements: statements.map { statement in
                PolicyStatement(
                    id: nil, effect: .allow, actions: .these(statement.actions.compactMap { PolicyPattern($0, actionReading) }),
                    resources: .these([PolicyPattern(statement.resource, resourceReading)].compactMap { $0 }), principals: nil,
                    conditions: [])
            }, text: text)
    }
}
