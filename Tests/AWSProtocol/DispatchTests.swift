//  From a form to a response through the generated switch.

import Model
import STSModel
import Testing

@testable import AWSProtocol
@testable import EC2Model

/// A service that remembers what it was told.
private struct Identity: STS.Handlers {
    func getCallerIdentity(
        _ request: STS.GetCallerIdentityRequest, _ context: String
    ) async throws(Fault)
        -> STS.GetCallerIdentityResponse
    {
        var response = STS.GetCallerIdentityResponse()
        response.account = context
        response.arn = "arn:aws:iam::\(context):root"
        return response
    }
}

@Suite struct DispatchTests {
    @Test func queryProtocol() async throws {
        let query = try query("Action=GetCallerIdentity&Version=2011-06-15", .query)
        let operation = try query.operation(among: STS.Operation.self)
        let body = try await STS.dispatch(operation, query, to: Identity(), in: "000000000001", requestID: "r-1")
        let expected =
            #"<?xml version="1.0" encoding="UTF-8"?>"#
            + #"<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>"#
            + "<Account>000000000001</Account><Arn>arn:aws:iam::000000000001:root</Arn></GetCallerIdentityResult>"
            + "<ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
        #expect(text(body) == expected)
    }

    @Test func whatIsNotBuiltSaysSo() async throws {
        let query = try query("Action=AssumeRole", .query)
        let fault = await #expect(throws: Fault.self) {
            try await STS.dispatch(.assumeRole, query, to: Identity(), in: "", requestID: "r-1")
        }
        #expect(fault?.code == .notSupported)
        #expect(fault?.message == "The operation AssumeRole is not supported by this cloud")
    }

    @Test func parametersAreReadBeforeTheHandler() async throws {
        let query = try query("Action=GetCallerIdentity&Verbose=1", .query)
        let fault = await #expect(throws: Fault.self) {
            try await STS.dispatch(.getCallerIdentity, query, to: Identity(), in: "", requestID: "r-1")
        }
        #expect(fault?.code == .unknownParameter)
    }

    @Test(arguments: [
        ("2016-11-15", "2016-11-15"), ("2015-10-01", "2015-10-01"), ("2010-08-31", "2010-08-31"), (nil, "2016-11-15"),
        // Not a date: it is not echoed.
        ("eucalyptus", "2016-11-15"), ("2016-11-1\"", "2016-11-15"), ("", "2016-11-15"),
    ])
    func theCallersVersionIsEchoed(version: String?, shown: String) {
        #expect(EC2.namespace(version: version) == "http://ec2.amazonaws.com/doc/\(shown)/")
    }

    @Test func anOperationWithoutResultReturnsTrue() {
        let envelope = ResponseEnvelope(EC2.dialect, namespace: EC2.namespace(version: nil), requestID: "r-1")
        let expected =
            #"<?xml version="1.0" encoding="UTF-8"?><CreateTagsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">"#
            + "<requestId>r-1</requestId><return>true</return></CreateTagsResponse>"
        #expect(text(envelope.body("CreateTags")) == expected)
    }

    @Test(arguments: [
        (
            400, Dialect.ec2,
            "<Response><Errors><Error><Code>C</Code><Message>a&lt;b</Message></Error></Errors><RequestID>r-1</RequestID></Response>"
        ),
        (
            400, .query,
            #"<ErrorResponse xmlns="https://n/"><Error><Type>Sender</Type><Code>C</Code><Message>a&lt;b</Message></Error>"#
                + "<RequestId>r-1</RequestId></ErrorResponse>"
        ),
        (
            503, .query,
            #"<ErrorResponse xmlns="https://n/"><Error><Type>Receiver</Type><Code>C</Code><Message>a&lt;b</Message></Error>"#
                + "<RequestId>r-1</RequestId></ErrorResponse>"
        ),
    ])
    func errorBodies(status: Int, dialect: Dialect, expected: String) {
        let body = AWSError("C", "a<b", status: status).body(dialect, namespace: "https://n/", requestID: "r-1")
        #expect(text(body) == #"<?xml version="1.0" encoding="UTF-8"?>"# + expected)
    }

    @Test func everyBuiltOperationIsNamed() {
        #expect(EC2.Operation.allCases.count == 830)
        #expect(Set(EC2.Operation.allCases.filter(\.isBuilt).map(\.rawValue)) == Set(ec2RequestReaders.keys))
        #expect(EC2.Operation(rawValue: "runInstances") == nil)
    }
}
