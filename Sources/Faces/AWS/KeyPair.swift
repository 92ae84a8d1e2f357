//  Key pairs: made, imported, listed, removed.

import Compute
import EC2Model
import Model
import Store

extension EC2Face {
    func createKeyPair(_ request: EC2.CreateKeyPairRequest, _ context: EC2Call) async throws(Fault) -> EC2.KeyPair {
        if request.keyFormat == "ppk" {
            throw Fault(.notSupported, "The key format 'ppk' is not supported by this cloud; use 'pem'.")
        }
        let name = try keyName(request.keyName)
        let tags = try TagReading.new(request.tagSpecifications, for: "key-pair")
        let made =
            request.keyType == "ed25519"
            ? NewKey.ed25519(comment: name, check: UInt32(truncatingIfNeeded: context.call.seed))
            : try await keys.rsa(comment: name)
        let pair = try await compute.addKeyPair(
            name: name, type: made.type, publicKey: made.publicKey, fingerprint: made.fingerprint, isImport: false, tags: tags,
            by: context.call)
        var result = EC2.KeyPair()
        result.keyName = pair.name
        result.keyPairId = pair.id.shown
        result.keyFingerprint = pair.fingerprint
        result.keyMaterial = made.privateKey
        result.tags = tags.isEmpty ? nil : wire(tags)
        return result
    }

    func importKeyPair(_ request: EC2.ImportKeyPairRequest, _ context: EC2Call) async throws(Fault) -> EC2.ImportKeyPairResult {
        let name = try keyName(request.keyName)
        let tags = try TagReading.new(request.tagSpecifications, for: "key-pair")
        let key = try PublicKey(reading: request.publicKeyMaterial ?? [])
        let pair = try await compute.addKeyPair(
            name: name, type: key.type, publicKey: key.line(comment: name), fingerprint: key.importFingerprint, isImport: true,
            tags: tags, by: context.call)
        var result = EC2.ImportKeyPairResult()
        result.keyName = pair.name
        result.keyPairId = pair.id.shown
        result.keyFingerprint = pair.fingerprint
        result.tags = tags.isEmpty ? nil : wire(tags)
        return result
    }

    func describeKeyPairs(
        _ request: EC2.DescribeKeyPairsRequest, _ context: EC2Call
    ) async throws(Fault) -> EC2.DescribeKeyPairsResult {
        let ids: [ID<KeyPair>] = try AWSID.parse(all: request.keyPairIds)
        let names = request.keyNames ?? []
        let filter = try RowFilter(request.filters, EC2Face.keyFilters)
        var pairs = try await compute.keyPairs(by: context.call)
        pairs = try Chosen.named(ids, among: pairs, by: \.keyPair.id)
        let unknown = names.filter { name in !pairs.contains { $0.keyPair.name == name } }
        guard unknown.isEmpty else { throw Fault(.notFound, Words.missing(.keyPair, unknown), kind: .keyPair) }
        var result = EC2.DescribeKeyPairsResult()
        result.keyPairs = pairs.filter { names.isEmpty || names.contains($0.keyPair.name) }.filter(filter.passes).map { view in
            var shown = EC2.KeyPairInfo()
            shown.keyName = view.keyPair.name
            shown.keyPairId = view.keyPair.id.shown
            shown.keyType = view.keyPair.type.rawValue
            shown.keyFingerprint = view.keyPair.fingerprint
            shown.createTime = view.keyPair.created
            shown.publicKey = request.includePublicKey == true ? view.keyPair.publicKey : nil
            shown.tags = Wire.tags(view.tags)
            return shown
        }
        return result
    }

    func deleteKeyPair(_ request: EC2.DeleteKeyPairRequest, _ context: EC2Call) async throws(Fault) -> EC2.DeleteKeyPairResult {
        guard request.keyName != nil || request.keyPairId != nil else {
            throw Fault(.missingParameter, "The request must contain the parameter KeyName or KeyPairId")
        }
        var id: ID<KeyPair>?
        do throws(Fault) {
            id = try request.keyPairId.map { text throws(Fault) in try AWSID.parse(text) }
        } catch  where error.code == .notFound {
            // To remove what is not there is no error.
        }
        let removed = try await compute.deleteKeyPair(name: request.keyName, id: id, by: context.call)
        var result = EC2.DeleteKeyPairResult()
        result.return = true
        result.keyPairId = removed?.shown
        return result
    }

    private func keyName(_ name: String?) throws(Fault) -> String {
        guard let name, !name.isEmpty else { throw Fault(.missingParameter, "The request must contain the parameter KeyName") }
        guard name.utf8.count <= 255, name.utf8.allSatisfy({ (0x20...0x7e).contains($0) }), name.first != " ", name.last != " "
        else {
            throw Fault(
                .invalidParameter,
                "Value (\(name.prefix(64))) for parameter KeyName is invalid. Expecting up to 255 ASCII characters.")
        }
        return name
    }

    private static let keyFilters = FilterTable<KeyPairView>(
        [
            "fingerprint": { [$0.keyPair.fingerprint] },
            "key-name": { [$0.keyPair.name] },
            "key-pair-id": { [$0.keyPair.id.shown] },
        ], tags: { $0.tags })
}
