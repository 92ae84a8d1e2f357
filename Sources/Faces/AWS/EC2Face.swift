//  EC2 over the services: each handler decodes, makes one call of a service and encodes.

import AWSProtocol
import Compute
import Crypto
import EC2Model
import Images
import Model
import Networks
import Store
import Volumes

/// The EC2 service of the face. It keeps no rules.
struct EC2Face: EC2.Handlers {
    typealias Context = EC2Call

    let region: String
    let endpoint: String
    let compute: ComputeService
    let images: ImagesService
    let volumes: VolumesService
    let networks: NetworksService
    let consoleOutput: ConsoleReader
    let keys = KeyWorker()
}

/// One call of EC2's.
struct EC2Call: Sendable {
    let call: Call
    private let parameters: FormParameters

    init(_ call: Call, _ parameters: FormParameters) {
        self.call = call
        self.parameters = parameters
    }

    /// The account's twelve digits.
    var accountNumber: String { call.session.account?.number ?? "" }

    /// Stands for what a call with a client token asks for (SHA-256): everything but the token.
    var digest: [UInt8] { digest(leavingOut: ["ClientToken"]) }

    /// Stands for the list that a page token belongs to.
    var listBinding: [UInt8] { Array(accountNumber.utf8) + digest(leavingOut: ["NextToken", "MaxResults"]) }

    private func digest(leavingOut names: Set<String>) -> [UInt8] {
        let told = parameters.parameters.filter { !names.contains($0.name) && !EC2Call.isOfTheRequest($0.name) }
        var hash = SHA256()
        for parameter in told.sorted(by: { ($0.name, $0.value) < ($1.name, $1.value) }) {
            // Lengths keep the border between name and value where it is.
            hash.update(data: Array("\(parameter.name.utf8.count) \(parameter.value.utf8.count) ".utf8))
            hash.update(data: Array(parameter.name.utf8))
            hash.update(data: Array(parameter.value.utf8))
        }
        return Array(hash.finalize())
    }

    /// Whether a parameter belongs to this sending of the call, such as its signature.
    private static func isOfTheRequest(_ name: String) -> Bool {
        ["Version", "Timestamp", "Signature", "SignatureMethod", "SignatureVersion", "AWSAccessKeyId", "SecurityToken", "Expires"]
            .contains(name) || name.lowercased().hasPrefix("x-amz-")
    }
}
