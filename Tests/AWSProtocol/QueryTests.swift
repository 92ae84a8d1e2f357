import EC2Model
import Model
import Testing

@testable import AWSProtocol

@Suite struct QueryTests {
    /// Reads one value from `form` and compares the fault.
    private func refuses<Value>(
        _ form: String, _ code: Fault.Code, _ message: String, _ dialect: Dialect = .ec2,
        _ read: (Query) throws(Fault) -> Value
    ) {
        let fault = #expect(throws: Fault.self) { _ = try read(try query(form, dialect)) }
        #expect(fault?.code == code, "\(form)")
        #expect(fault?.message == message, "\(form)")
    }

    // MARK: The tree

    @Test func aParameterTwiceIsRefused() {
        refuses("a.b=1&a.b=1", .malformedRequest, "The parameter a.b is given more than once") { $0 }
    }

    @Test func depthIsBounded() throws {
        let names = Array(repeating: "a", count: 16).joined(separator: ".")
        _ = try query("\(names)=1")
        refuses("\(names).a=1", .tooLarge, "The parameter \(names).a has more than 16 parts") { $0 }
    }

    @Test func actions() throws {
        #expect(try query("Action=RunInstances").operation(among: EC2.Operation.self) == .runInstances)
        // Known to EC2 and not built here: the face has its own word for that.
        #expect(try query("Action=AcceptAddressTransfer").operation(among: EC2.Operation.self).isBuilt == false)
        refuses("Action=Run", .unknownAction, "The action Run is not valid for this web service.") { query throws(Fault) in
            try query.operation(among: EC2.Operation.self)
        }
        refuses("Version=1", .missingParameter, "The request must contain the parameter Action") { query throws(Fault) in
            try query.operation(among: EC2.Operation.self)
        }
    }

    // MARK: Scalars

    static let integers: [(text: String, value: Int?)] = [
        ("0", 0), ("-1", -1), ("007", 7), ("2147483647", 2_147_483_647), ("-2147483648", -2_147_483_648),
        ("2147483648", nil), ("", nil), ("abc", nil), ("1.0", nil), ("%2B1", nil), ("1e3", nil), (" 1", nil), ("0x1", nil),
        ("١", nil),
        ("99999999999999999999999999", nil),
    ]

    @Test(arguments: integers)
    func integer(text: String, value: Int?) throws {
        let query = try query("n=\(text)")
        #expect((try? query.child("n")?.integer()) == value)
    }

    @Test(arguments: [
        ("1", 1.0), ("-1.5", -1.5), ("1e3", 1000), ("", nil), ("inf", nil), ("nan", nil), ("0x1p3", nil), ("1e999", nil),
        ("1,5", nil),
    ])
    func double(text: String, value: Double?) throws {
        #expect((try? query("n=\(text)").child("n")?.double()) == value)
    }

    @Test(arguments: [
        ("true", true), ("True", true), ("TRUE", true), ("1", true), ("false", false), ("0", false), ("yes", nil), ("", nil),
        ("2", nil),
    ])
    func boolean(text: String, value: Bool?) throws {
        #expect((try? query("n=\(text)").child("n")?.boolean()) == value)
    }

    @Test(arguments: [("", ""), ("aGk=", "hi"), ("aGk", nil), ("a", nil), ("%%%", nil), ("aG k=", nil)])
    func blob(form: String, value: String?) throws {
        let escaped = form.split(separator: "", omittingEmptySubsequences: true).map { $0 == "%" ? "%25" : $0 }.joined()
        #expect((try? query("n=\(escaped)").child("n")?.blob()).map(text) == value)
    }

    // MARK: Lists

    @Test func listsGoByTheirNumbers() throws {
        let query = try query("L.10=j&L.2=b&L.1=a&L.0=z")
        #expect(try query.child("L")?.strings() == ["z", "a", "b", "j"])
    }

    @Test func anEmptyListIsANameAlone() throws {
        #expect(try query("L=").child("L")?.strings() == [])
        #expect(try query("L=", .query).child("L")?.strings(member: "member") == [])
    }

    @Test func listsWithMembers() throws {
        #expect(try query("L.member.1=a&L.member.2=b", .query).child("L")?.strings(member: "member") == ["a", "b"])
        refuses("L.1=a", .unknownParameter, "The parameter L.1 is not recognized", .query) { query throws(Fault) in
            try query.child("L")?.strings(member: "member")
        }
    }

    @Test(arguments: [
        ("L.01=a", "L.01"), ("L.-1=a", "L.-1"), ("L.x=a", "L.x"), ("L.=a", "L."), ("L.1.Name=a", "L.1.Name"), ("L=a", "L"),
        // Beyond what an integer holds.
        ("L.99999999999999999999=a", "L.99999999999999999999"),
    ])
    func namesThatAreNoNumbers(form: String, name: String) {
        refuses(form, .unknownParameter, "The parameter \(name) is not recognized") { query throws(Fault) in
            try query.child("L")?.strings()
        }
    }

    @Test func indexIsBounded() {
        refuses("L.100001=a", .tooLarge, "The parameter L has an index above 100000") { query throws(Fault) in
            try query.child("L")?.strings()
        }
    }

    // MARK: Structures and refusals, in the original's words

    static let refused: [(form: String, code: Fault.Code, message: String)] = [
        ("MinCount=1", .missingParameter, "The request must contain the parameter MaxCount"),
        ("MinCount=&MaxCount=1", .missingParameter, "The request must contain the parameter MinCount"),
        ("MinCount=abc&MaxCount=1", .invalidParameter, "Value (abc) for parameter MinCount is invalid. Expecting an integer."),
        (
            "MinCount=1&MaxCount=1&EbsOptimized=", .invalidParameter,
            "Value () for parameter EbsOptimized is invalid. The value cannot be empty"
        ),
        ("MinCount=1&MaxCount=1&ImageID=x", .unknownParameter, "The parameter ImageID is not recognized"),
        ("MinCount=1&MaxCount=1&Placement.Zone=x", .unknownParameter, "The parameter Placement.Zone is not recognized"),
        ("MinCount=1&MaxCount=1&Placement=x", .unknownParameter, "The parameter Placement is not recognized"),
        ("MinCount=1&MaxCount=1&ImageId.1=x", .unknownParameter, "The parameter ImageId.1 is not recognized"),
        (
            "MinCount=1&MaxCount=1&BlockDeviceMapping.2.Ebs.VolumeSize=big", .invalidParameter,
            "Value (big) for parameter BlockDeviceMapping.2.Ebs.VolumeSize is invalid. Expecting an integer."
        ),
        (
            "MinCount=1&MaxCount=1&Placement.Tenancy=shared", .invalidParameter,
            "Value (shared) for parameter Placement.Tenancy is invalid."
        ),
    ]

    @Test(arguments: refused)
    func runInstances(form: String, code: Fault.Code, message: String) {
        refuses(form, code, message) { query throws(Fault) in try EC2.RunInstancesRequest(query: query) }
    }

    @Test func whatEveryRequestCarriesIsKnown() throws {
        let signed =
            "Action=RunInstances&Version=2016-11-15&AWSAccessKeyId=x&Signature=y&Timestamp=z&X-Amz-Date=d&x-amz-signature=s"
        #expect(try EC2.RunInstancesRequest(query: query("\(signed)&MinCount=1&MaxCount=2")).maxCount == 2)
        // Only at the root.
        refuses("Placement.Action=x&MinCount=1&MaxCount=1", .unknownParameter, "The parameter Placement.Action is not recognized") {
            query throws(Fault) in try EC2.RunInstancesRequest(query: query)
        }
    }

    @Test func constraints() {
        refuses(
            "MaxResults=1", .invalidParameter, "Value (1) for parameter MaxResults is invalid. Expecting a value greater than 5."
        ) { query throws(Fault) in try EC2.DescribeVpcsRequest(query: query) }
        refuses(
            "MaxResults=1001", .invalidParameter,
            "Value (1001) for parameter MaxResults is invalid. Expecting a value less than 1000."
        ) { query throws(Fault) in try EC2.DescribeVpcsRequest(query: query) }
        let many = (1...101).map { "InstanceType.\($0)=t3.micro" }.joined(separator: "&")
        refuses(
            many, .invalidParameter, "Value (101 members) for parameter InstanceType is invalid. Expecting a value less than 100."
        ) { query throws(Fault) in try EC2.DescribeInstanceTypesRequest(query: query) }
    }

    @Test func refusalsOfTheQueryServices() {
        refuses(
            "RoleArn=x", .invalidParameter,
            "1 validation error detected: Value 'x' at 'roleArn' failed to satisfy constraint: "
                + "Member must have length greater than or equal to 20", .query
        ) { query throws(Fault) in try query.child("RoleArn")?.string(length: 20...2048) }
        refuses(
            "Status=x", .invalidParameter,
            "1 validation error detected: Value 'x' at 'status' failed to satisfy constraint: "
                + "Member must satisfy enum value set: [Active, Inactive]", .query
        ) { query throws(Fault) in try query.child("Status")?.string(oneOf: ["Active", "Inactive"]) }
        refuses(
            "", .missingParameter,
            "1 validation error detected: Value null at 'roleArn' failed to satisfy constraint: Member must not be null", .query
        ) { query throws(Fault) in
            var fields = try Fields(query)
            _ = try fields.require("RoleArn")
            try fields.finish()
        }
    }

    /// What a caller sent comes back in a message only in part.
    @Test func messagesAreBounded() throws {
        let fault = #expect(throws: Fault.self) { try query("n=\(String(repeating: "x", count: 100_000))").child("n")?.integer() }
        #expect((fault?.message.utf8.count ?? .max) < 300)
    }
}
