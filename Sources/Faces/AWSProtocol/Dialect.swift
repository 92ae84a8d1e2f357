//  The two protocols of AWS that take a form and answer XML. They differ in how lists are named, how
//  responses and errors are wrapped, and in the words of a refusal.

/// How a service's requests and responses are written. Source: Smithy's `awsQuery` and `ec2Query`.
public enum Dialect: Sendable, Hashable {
    /// EC2's own: lists are always flat, answers have no result wrapper.
    case ec2
    /// The older services' (STS, IAM, load balancing and their like).
    case query
}
