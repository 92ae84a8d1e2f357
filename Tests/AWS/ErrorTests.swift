//  The table of errors, and the words for states.

import AWSProtocol
import Model
import Store
import Testing

@testable import AWS

@Suite struct ErrorTests {
    private static let instance = AnyID(kind: .instance, bits: 0xabc)
    private static let shown = "i-00000000000000abc"

    @Test(arguments: [
        (Fault(missing: instance), "InvalidInstanceID.NotFound", "The instance ID '\(shown)' does not exist", 400),
        (
            Fault(missing: [instance, instance], kind: .instance), "InvalidInstanceID.NotFound",
            "The instance IDs '\(shown), \(shown)' do not exist", 400
        ),
        (
            Fault(missing: AnyID(kind: .volume, bits: 1)), "InvalidVolume.NotFound",
            "The volume 'vol-00000000000000001' does not exist.", 400
        ),
        (
            Fault(missing: AnyID(kind: .image, bits: 1)), "InvalidAMIID.NotFound",
            "The image id '[ami-00000000000000001]' does not exist", 400
        ),
        (
            Fault(.wrongState, "is not in a state from which it can be stopped.").about(instance), "IncorrectInstanceState",
            "The instance '\(shown)' is not in a state from which it can be stopped.", 400
        ),
        (
            Fault(.inUse, "has a dependent object").about(AnyID(kind: .group, bits: 1)), "DependencyViolation",
            "resource sg-00000000000000001 has a dependent object", 400
        ),
        (Fault(.inUse, "held", kind: .address), "InvalidIPAddress.InUse", "held", 400),
        (Fault(.inUse, "held", kind: .volume), "VolumeInUse", "held", 400),
        (Fault(.noCapacity, "full", kind: .instance), "InsufficientInstanceCapacity", "full", 500),
        (Fault(.noAddress, "none", kind: .subnet), "InsufficientFreeAddressesInSubnet", "none", 400),
        (Fault(.limitExceeded, "x", kind: .instance), "InstanceLimitExceeded", "x", 400),
        (Fault(.tooManyTags, "x", kind: .instance), "TagLimitExceeded", "x", 400),
        (Fault(.dryRun, "x"), "DryRunOperation", "x", 412),
        (Fault(.denied, "x"), "UnauthorizedOperation", "You are not authorized to perform this operation. x", 403),
        (Fault(.rateExceeded, "x"), "RequestLimitExceeded", "Request limit exceeded.", 503),
        (Fault(.tokenMismatch, "x"), "IdempotentParameterMismatch", "x", 400),
        // What lies beneath is never told.
        (Fault(.storage, "disk /dev/sda is full", cause: "secret"), "InternalError", "An internal error has occurred", 500),
        (Fault(.driver, "secret"), "InternalError", "An internal error has occurred", 500),
        (Fault(Fault.Code(rawValue: "new"), "secret"), "InternalError", "An internal error has occurred", 500),
        (Fault(.timedOut, "secret"), "Unavailable", Words.busy, 503),
    ])
    func ofEC2(_ fault: Fault, _ code: String, _ message: String, _ status: Int) {
        #expect(AWSError(fault, .ec2) == AWSError(code, message, status: status))
    }

    @Test(arguments: [
        (Fault(.denied, "x"), "AccessDenied", "x", 403),
        (Fault(.unknownAction, "x"), "InvalidAction", "x", 400),
        (Fault(.unknownParameter, "x"), "ValidationError", "x", 400),
        (Fault(.rateExceeded, "x"), "Throttling", "Rate exceeded", 400),
        (Fault(.storage, "secret"), "InternalFailure", "An internal error has occurred", 500),
    ])
    func ofQueryServices(_ fault: Fault, _ code: String, _ message: String, _ status: Int) {
        #expect(AWSError(fault, .query) == AWSError(code, message, status: status))
    }

    @Test func everyPhaseHasAState() {
        let states = Instance.Phase.allCases.map { InstanceWords.state($0) }
        #expect(states.map(\.name) == ["pending", "running", "stopping", "stopped", "pending", "shutting-down", "terminated"])
        #expect(states.map(\.code) == [0, 16, 64, 80, 0, 32, 48])
    }
}

@Suite struct RoutingTests {
    @Test(
        arguments: [
            ("ec2", "/", nil, AWSService.ec2), ("sts", "/services/compute", "ec2.x", .sts),
            // Scopes that old clients make up of the host's name decide nothing.
            ("127", "/services/compute", "127.0.0.1", .ec2), ("0", "/services/Tokens/", nil, .sts),
            ("0", "/services/Eucalyptus", nil, .ec2),
            (nil, "/services/Euare", nil, .other("iam")), (nil, "/services/objectstorage/b/k", nil, .other("s3")),
            (nil, "/", "sts.karri.example:8773", .sts), (nil, "/", "STS.karri.example", .sts),
            (nil, "/", "compute.karri.example", .ec2),
            // An unknown Host is no error.
            (nil, "/", "anything.example", .ec2), (nil, "", nil, .ec2), (nil, "//services//compute", nil, .ec2),
            ("s3", "/", nil, .s3), ("s3", "/services/compute", nil, .s3), ("ec2", "/bucket/key", nil, .ec2),
            (nil, "/bucket", nil, .s3), (nil, "/bucket/key", "anything.example", .s3), (nil, "/", "s3.karri.example", .s3),
            ("iam", "/", nil, .other("iam")), (nil, "/services/Nonsense", nil, .other("nonsense")),
        ] as [(String?, String, String?, AWSService)])
    func services(_ scope: String?, _ path: String, _ host: String?, _ service: AWSService) {
        #expect(AWSService.of(scope: scope, path: path, host: host) == service)
    }

    @Test(
        arguments: [
            ("AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0", "", "s3"),
            ("AWS4-HMAC-SHA256 SignedHeaders=host,Credential=A/B/20130524/r/ec2/aws4_request,Signature=0", "", "ec2"),
            ("AWS AK:signature", "", "s3"), ("Basic abc", "", nil), ("AWS4-HMAC-SHA256 Credential=AK", "", nil),
            (nil, "a=b&X-Amz-Credential=AK%2F20130524%2Fr%2Fs3%2Faws4_request", "s3"),
            (nil, "X-Amz-Credential=AK/20130524/r/sts/aws4_request&a=b", "sts"), (nil, "X-Amz-Credential=", nil), (nil, "", nil),
        ] as [(String?, String, String?)])
    func scopes(_ header: String?, _ query: String, _ service: String?) {
        #expect(AWSService.scope(header: header, query: query) == service)
    }
}

@Suite struct RateLimiterTests {
    private let start = Instant(seconds: 1000)

    @Test func aBurstAndThenASteadyRate() {
        let limiter = RateLimiter(.init(perSecond: 10, burst: 3))
        #expect((0..<5).map { _ in limiter.admit("a", now: start) } == [true, true, true, false, false])
        #expect(limiter.admit("b", now: start))
        #expect(!limiter.wouldAdmit("a", now: start + .milliseconds(50)))
        #expect(limiter.wouldAdmit("a", now: start + .milliseconds(100)))
        #expect(limiter.admit("a", now: start + .milliseconds(100)))
        #expect(!limiter.admit("a", now: start + .milliseconds(100)))
        // It never holds more than a burst.
        #expect((0..<5).map { _ in limiter.admit("a", now: start + .seconds(60)) } == [true, true, true, false, false])
        // Nor does a clock that is set back take anything.
        #expect(!limiter.admit("a", now: start))
    }

    @Test func memoryIsBounded() {
        let limiter = RateLimiter(.init(perSecond: 1, burst: 2), bucketsMax: 100)
        for number in 0..<1000 { #expect(limiter.admit("\(number)", now: start)) }
        #expect(limiter.count <= 100)
        // Those that are empty are kept while others can go.
        let other = RateLimiter(.init(perSecond: 1, burst: 1), bucketsMax: 2)
        #expect(other.admit("busy", now: start + .seconds(10)))
        #expect(other.admit("idle", now: start))
        #expect(other.admit("new", now: start + .seconds(10)))
        #expect(!other.admit("busy", now: start + .seconds(10)))
    }
}
