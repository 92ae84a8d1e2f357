//  The small XML documents that S3's clients send, read by libxml2 with everything off that reaches out
//  of the document: no network, no entities, no document type.

import CLibXML

/// An element with what is in it.
struct XMLElement: Sendable, Hashable {
    var name: String
    var text = ""
    var children: [XMLElement] = []

    subscript(_ name: String) -> XMLElement? { children.first { $0.name == name } }

    func all(_ name: String) -> [XMLElement] { children.filter { $0.name == name } }

    /// The whole number in a child; nil where there is no such child.
    func integer(_ name: String) throws(S3Error) -> Int? {
        guard let text = self[name]?.text else { return nil }
        guard let number = Int(text) else { throw XMLElement.malformed }
        return number
    }

    /// `true` or `false` in a child; nil where there is no such child.
    func flag(_ name: String) throws(S3Error) -> Bool? {
        switch self[name]?.text.lowercased() {
        case nil: return nil
        case "true": return true
        case "false": return false
        default: throw XMLElement.malformed
        }
    }

    static let malformed = S3Error(
        .malformedXML, "The XML you provided was not well-formed or did not validate against our published schema")

    private static let depthMax = 32

    /// Reads a document whose root has a name.
    init(document bytes: [UInt8], root: String) throws(S3Error) {
        let options = Int32(
            XML_PARSE_NONET.rawValue | XML_PARSE_NOERROR.rawValue | XML_PARSE_NOWARNING.rawValue | XML_PARSE_NOCDATA.rawValue)
        let document = bytes.withUnsafeBytes { raw in
            xmlReadMemory(raw.bindMemory(to: CChar.self).baseAddress, Int32(clamping: raw.count), nil, nil, options)
        }
        guard let document else { throw XMLElement.malformed }
        defer { xmlFreeDoc(document) }
        guard document.pointee.intSubset == nil, let node = xmlDocGetRootElement(document),
            let element = XMLElement(node, depth: 0), element.name == root
        else { throw XMLElement.malformed }
        self = element
    }

    /// Nil where elements lie too deep in each other.
    private init?(_ node: xmlNodePtr, depth: Int) {
        guard depth < XMLElement.depthMax, let name = node.pointee.name else { return nil }
        self.name = String(cString: name)
        var next = node.pointee.children
        while let child = next {
            switch child.pointee.type {
            case XML_ELEMENT_NODE:
                guard let element = XMLElement(child, depth: depth + 1) else { return nil }
                children.append(element)
            case XML_TEXT_NODE:
                if let content = child.pointee.content { text += String(cString: content) }
            default: break
            }
            next = child.pointee.next
        }
    }
}
