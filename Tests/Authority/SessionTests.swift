//  Decisions, permits, and what a refusal says.

import Model
import Testing

@testable import Authority

extension Action where Thing == Instance {
    fileprivate static let stop = Action("ec2:StopInstances")
    fileprivate static let list = Action("ec2:DescribeInstances")
    fileprivate static let run = Action("ec2:RunInstances")
}

private let now = Instant(seconds: 1_440_938_160)
private let here = AccountScope(id: ID(bits: 1), number: "111111111111")
private let elsewhere = AccountScope(id: ID(bits: 2), number: "222222222222")
private let alice = Principal.user("alice", id: ID(bits: 7), of: here)
private let name = ResourceName(service: "ec2", region: "here", account: here.number, resource: "instance/i-0123")

private func session(
    _ identity: [PolicyDocument], of principal: Principal = alice, session: [PolicyDocument]? = nil, expires: Instant? = nil,
    in circumstances: Circumstances = Circumstances(now: now)
) -> Session {
    Session(of: principal, identity: identity, session: session, expires: expires, circumstances: circumstances)
}

@Suite struct EvaluationTests {
    @Test(arguments: [
        ([allow("ec2:StopInstances")], Decision.allow),
        ([allow("EC2:stop*")], .allow),
        ([allow("*", "arn:aws:ec2:here:111111111111:instance/*")], .allow),
        ([allow("*", "arn:aws:ec2:there:111111111111:instance/*")], .implicitDeny(.identity)),
        // Resources are told apart by case.
        ([allow("*", "arn:aws:EC2:here:111111111111:instance/*")], .implicitDeny(.identity)),
        ([allow("ec2:Describe*")], .implicitDeny(.identity)),
        ([], .implicitDeny(.identity)),
        ([allow("*"), deny("ec2:StopInstances")], .explicitDeny(.identity, statement: "No")),
        ([deny("ec2:StopInstances"), allow("*")], .explicitDeny(.identity, statement: "No")),
        ([allow("*"), deny("ec2:TerminateInstances")], .allow),
        ([#"{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}"#], .allow),
        ([#"{"Effect":"Allow","NotAction":["iam:*","ec2:*"],"Resource":"*"}"#], .implicitDeny(.identity)),
        ([#"{"Effect":"Allow","Action":"*","NotResource":"arn:aws:ec2:*:*:instance/*"}"#], .implicitDeny(.identity)),
        ([#"{"Effect":"Allow","Action":"*","NotResource":"arn:aws:ec2:*:*:volume/*"}"#], .allow),
    ])
    func statements(texts: [String], decision: Decision) throws {
        let request = PolicyRequest(action: "ec2:StopInstances", resource: instanceName)
        // In one document, and in one document each.
        if !texts.isEmpty { #expect(PolicySet(identity: [try policy(texts.joined(separator: ","))]).evaluate(request) == decision) }
        #expect(
            PolicySet(identity: try texts.map { try policy($0.replacing("\"Sid\":\"\",", with: "")) }).evaluate(request) == decision
        )
    }

    @Test(arguments: [
        ("*", "*", Decision.allow), ("ec2:*", "ec2:Stop*", .allow), ("ec2:*", "s3:*", .implicitDeny(.session)),
        ("s3:*", "ec2:*", .implicitDeny(.identity)), ("s3:*", "s3:*", .implicitDeny(.identity)),
    ])
    func aSessionPolicyOnlyNarrows(identity: String, session: String, decision: Decision) throws {
        let set = PolicySet(identity: [try policy(allow(identity))], session: [try policy(allow(session))])
        #expect(set.evaluate(PolicyRequest(action: "ec2:StopInstances", resource: instanceName)) == decision)
    }

    @Test func aSessionPolicyMayDeny() throws {
        let set = PolicySet(identity: [try policy(allow("*"))], session: [try policy(allow("*") + "," + deny("ec2:*"))])
        let request = PolicyRequest(action: "ec2:StopInstances", resource: instanceName)
        #expect(set.evaluate(request) == .explicitDeny(.session, statement: "No"))
        let empty = PolicySet(identity: [try policy(allow("*"))], session: [])
        #expect(empty.evaluate(request) == .implicitDeny(.session))
    }

    @Test(arguments: [
        ("ec2:DescribeInstances", true), ("iam:ListUsers", true), ("s3:GetObject", true), ("sts:GetCallerIdentity", true),
        ("ec2:RunInstances", false), ("iam:CreateUser", false), ("s3:PutObject", false), ("sts:AssumeRole", false),
        ("sqs:ReceiveMessage", false),
        ("ec2:TerminateInstances", false), ("ec2:CreateTags", false),
    ])
    func readOnly(action: String, allowed: Bool) {
        let request = PolicyRequest(action: action, resource: "*")
        #expect(PolicySet(identity: [ManagedPolicy.readOnlyAccess.document]).evaluate(request).isAllowed == allowed)
        #expect(PolicySet(identity: [ManagedPolicy.administratorAccess.document]).evaluate(request).isAllowed)
    }

    /// Thirty statements, an ordinary user's lot, ought to cost microseconds.
    @Test func evaluationIsQuick() throws {
        let statements = (0..<30).map {
            allow("ec2:Other\($0)*", "arn:aws:ec2:*:*:instance/*", #"{"StringEquals":{"aws:RequestTag/a":"b"}}"#)
        }
        let set = PolicySet(identity: [try policy(statements.joined(separator: ","))])
        var allowed = 0
        let used = threadTime {
            for _ in 0..<1000 {
                let request = PolicyRequest(action: "ec2:StopInstances", resource: instanceName)
                if set.evaluate(request).isAllowed { allowed += 1 }
            }
        }
        #expect(allowed == 0)
        // Generous: a debug build.
        #expect(used < .seconds(1), "\(used / 1000) an evaluation")
    }
}

@Suite struct SessionTests {
    @Test func permitsNameWhatWasAuthorized() throws {
        let permit = try session([try policy(allow("ec2:StopInstances"))]).authorize(
            .stop, name, id: ID<Instance>(bits: 5), owner: here.id)
        #expect(permit.id.bits == 5 && permit.owner == here.id && permit.action == "ec2:StopInstances")
        #expect(permit.principal == "arn:aws:iam::111111111111:user/alice")
    }

    @Test func anotherAccountsThingDoesNotExist() throws {
        let everything = session([ManagedPolicy.administratorAccess.document])
        let error = #expect(throws: Fault.self) {
            try everything.authorize(.stop, name, id: ID<Instance>(bits: 5), owner: elsewhere.id)
        }
        #expect(error?.code == .notFound && error?.kind == .instance)
        _ = try everything.authorize(.stop, name, id: ID<Instance>(bits: 5), owner: elsewhere.id, shared: true)
        // Sharing gives no right that the policies do not give.
        let nothing = session([])
        #expect(throws: Fault.self) {
            try nothing.authorize(.stop, name, id: ID<Instance>(bits: 5), owner: elsewhere.id, shared: true)
        }
        // Whether it exists is not told by another error for those without rights.
        let blind = #expect(throws: Fault.self) {
            try nothing.authorize(.stop, name, id: ID<Instance>(bits: 5), owner: elsewhere.id)
        }
        #expect(blind?.code == .notFound)
    }

    @Test func refusalsUseTheWordsOfIAM() throws {
        func message(_ session: Session, list: Bool = false) -> String? {
            do {
                if list {
                    _ = try session.visibility(Action<Instance>.list)
                } else {
                    _ = try session.authorize(.stop, name, id: ID<Instance>(bits: 5), owner: here.id)
                }
                return nil
            } catch { return error.code == .denied ? error.message : "another code" }
        }
        let start =
            "User: arn:aws:iam::111111111111:user/alice is not authorized to perform: ec2:StopInstances on resource: \(name)"
        #expect(message(session([])) == "\(start) because no identity-based policy allows the ec2:StopInstances action")
        #expect(
            message(session([try policy(allow("*") + "," + deny("*"))]))
                == "\(start) with an explicit deny in an identity-based policy")
        #expect(
            message(session([try policy(allow("*"))], session: []))
                == "\(start) because no session policy allows the ec2:StopInstances action")
        #expect(
            message(session([]), list: true)
                == "User: arn:aws:iam::111111111111:user/alice is not authorized to perform: ec2:DescribeInstances because no "
                + "identity-based policy allows the ec2:DescribeInstances action")
    }

    @Test func expiredSessionsMayNothing() throws {
        let rights = [ManagedPolicy.administratorAccess.document]
        _ = try session(rights, expires: now + .seconds(1)).visibility(Action<Instance>.list)
        for expires in [now, now - .seconds(1)] {
            let ended = session(rights, expires: expires)
            let error = #expect(throws: Fault.self) { try ended.visibility(Action<Instance>.list) }
            #expect(error?.code == .expired)
            #expect(throws: Fault.self) { try ended.authorize(.stop, name, id: ID<Instance>(bits: 5), owner: here.id) }
            #expect(throws: Fault.self) { try ended.authorizeAll(Action<Instance>.run) }
        }
    }

    @Test func listsSeeTheirOwnAndWhatIsShared() throws {
        let visibility = try session([ManagedPolicy.readOnlyAccess.document]).visibility(Action<Instance>.list)
        #expect(visibility.reach == .account(here.id))
        #expect(
            visibility.sees(owner: here.id) && !visibility.sees(owner: elsewhere.id)
                && visibility.sees(owner: elsewhere.id, shared: true))
    }

    @Test func theRootIsBoundBySessionPoliciesOnly() throws {
        let root = session([try policy(deny("*"))], of: .root(of: here))
        _ = try root.authorize(.stop, name, id: ID<Instance>(bits: 5), owner: here.id)
        let narrowed = session([], of: .root(of: here), session: [try policy(allow("s3:*"))])
        #expect(throws: Fault.self) { try narrowed.authorize(.stop, name, id: ID<Instance>(bits: 5), owner: here.id) }
        #expect(throws: Fault.self) { try root.authorize(.stop, name, id: ID<Instance>(bits: 5), owner: elsewhere.id) }
    }

    @Test func creatingNeedsAnAccount() throws {
        let resource = ResourceName(service: "ec2", region: "here", account: here.number, resource: "instance/*")
        let maker = session([
            try policy(
                allow("ec2:RunInstances", "arn:aws:ec2:*:*:instance/*", #"{"StringEquals":{"ec2:InstanceType":"t3.micro"}}"#))
        ])
        let permit = try maker.authorizeAll(Action<Instance>.run, on: resource, context: ["ec2:InstanceType": "t3.micro"])
        #expect(permit.id == here.id && permit.owner == here.id)
        #expect(throws: Fault.self) {
            try maker.authorizeAll(Action<Instance>.run, on: resource, context: ["ec2:InstanceType": "m5.large"])
        }
        #expect(throws: Fault.self) { try maker.authorizeAll(Action<Instance>.run, context: ["ec2:InstanceType": "t3.micro"]) }
        let nobody = Session(unrestrictedSystemWorkFor: "test", now: now)
        #expect(throws: Fault.self) { try nobody.authorizeAll(Action<Instance>.run) }
    }

    @Test func theSystemMayEverythingEverywhere() throws {
        let system = Session(unrestrictedSystemWorkFor: "placement", now: now)
        #expect(system.isSystem && !session([]).isSystem)
        _ = try system.authorize(.stop, name, id: ID<Instance>(bits: 5), owner: elsewhere.id)
        #expect(try system.visibility(Action<Instance>.list).reach == .everything)
        let onBehalf = Session(unrestrictedSystemWorkFor: "placement", onBehalfOf: here, now: now)
        #expect(try onBehalf.authorizeAll(Action<Instance>.run).id == here.id)
        #expect(try onBehalf.visibility(Action<Instance>.list).reach == .account(here.id))
        // Its principal alone carries no right.
        let borrowed = session([ManagedPolicy.administratorAccess.document], of: system.principal)
        #expect(throws: Fault.self) { try borrowed.visibility(Action<Instance>.list) }
        #expect(throws: Fault.self) { try borrowed.authorize(.stop, name, id: ID<Instance>(bits: 5), owner: here.id) }
    }

    @Test(arguments: [
        ("aws:username", "alice"), ("aws:userid", "AIDAAAAAAAAAAAAAAAAAH"),
        ("aws:PrincipalArn", "arn:aws:iam::111111111111:user/alice"),
        ("aws:PrincipalAccount", "111111111111"), ("aws:PrincipalType", "User"), ("aws:CurrentTime", "2015-08-30T12:36:00Z"),
        ("aws:EpochTime", "1440938160"), ("aws:SourceIp", "10.1.2.3"), ("aws:SecureTransport", "true"),
        ("aws:UserAgent", "aws-cli"),
        ("aws:RequestedRegion", "here"),
    ])
    func globalKeys(key: String, value: String) throws {
        let circumstances = Circumstances(
            now: now, sourceAddress: "10.1.2.3", secureTransport: true, userAgent: "aws-cli", region: "here")
        let condition = "{\"StringEquals\":{\"\(key)\":\"\(value)\"}}"
        let caller = session([try policy(allow("*", "*", condition))], in: circumstances)
        #expect(caller.decide("ec2:X", on: "*") == .allow)
        // What the call states cannot replace what the cloud knows.
        #expect(caller.decide("ec2:X", on: "*", context: [key: "forged"]) == .allow)
        let bare = Session(
            of: .root(of: elsewhere), identity: [], session: [try policy(allow("*", "*", condition))],
            circumstances: Circumstances(now: now + .seconds(1)))
        #expect(bare.decide("ec2:X", on: "*") == .implicitDeny(.session))
    }

    @Test func assumedRolesAreNamedAsSTSNamesThem() {
        let role = Principal.role("web", uniqueId: "AROAX", session: "i-1", path: "/app/", of: here)
        #expect(role.name.description == "arn:aws:sts::111111111111:assumed-role/web/i-1")
        #expect(role.uniqueId == "AROAX:i-1")
        #expect(role.policyName.description == "arn:aws:iam::111111111111:role/app/web")
    }
}

@Suite struct ResourceNameTests {
    @Test(arguments: [
        "arn:aws:ec2:eu:111111111111:instance/i-1", "arn:aws:iam::111111111111:root", "arn:aws:s3:::bucket/a:b/c",
        "arn:aws:sns:r:1:a:b:c",
    ])
    func roundTrip(text: String) { #expect(ResourceName(text)?.description == text) }

    @Test(arguments: [
        "", "arn", "arn:aws:ec2:eu:1", "arn:aws:ec2:eu:1:", "arn::ec2:eu:1:x", "arn:aws::eu:1:x", "ARN:aws:ec2:eu:1:x",
        "x:aws:ec2:eu:1:x",
    ])
    func refused(text: String) { #expect(ResourceName(text) == nil) }

    @Test func lengthIsBounded() {
        #expect(ResourceName("arn:aws:s3:::" + String(repeating: "a", count: 2048)) == nil)
    }
}
