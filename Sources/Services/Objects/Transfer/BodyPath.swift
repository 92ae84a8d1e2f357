//  Where bodies lie in an export's folder: at their key's path where a path can say it, and otherwise under
//  a name that is made of the key and says all of it.

import Model
import ObjectStorage

/// Names in an export's folder, with `/` between them.
public enum BodyPath {
    /// Below it, current versions at their keys' paths.
    public static let plainFolder = "objects"
    /// Below it, all others.
    public static let escapedFolder = "escaped"
    /// The longest name of a file (`NAME_MAX`).
    private static let nameBytesMax = 255
    /// Of a key in one name, so that there is room for what marks its end.
    private static let chunkBytesMax = 200

    /// The path of a key's current version; nil where a path cannot say the key.
    public static func plain(_ key: ObjectKey) -> String? {
        guard let text = String(validating: key.bytes, as: UTF8.self), !key.bytes.contains(where: isControl) else { return nil }
        let names = key.bytes.split(separator: slash, omittingEmptySubsequences: false)
        let areNames = names.allSatisfy { name in
            !name.isEmpty && !name.elementsEqual(".".utf8) && !name.elementsEqual("..".utf8) && name.count <= nameBytesMax
        }
        return areNames ? "\(plainFolder)/\(text)" : nil
    }

    /// A path for any key and version: bytes that names cannot have, and `%`, `+`, `@`, stand as `%` and two hex
    /// digits; a name that goes on in the next one ends with `+`, the last one with `@` and the version. No
    /// such path is another's folder.
    public static func escaped(_ key: ObjectKey, version: String) -> String {
        let isText = String(validating: key.bytes, as: UTF8.self) != nil
        var path = escapedFolder + "/"
        var used = 0
        var unit: [UInt8] = []
        for (place, byte) in key.bytes.enumerated() {
            let isKept = byte < 0x80 ? !isControl(byte) && !marks.contains(byte) : isText
            unit += isKept ? [byte] : Array("%\(hexDigits([byte]))".utf8)
            // A character's bytes stay together.
            if isText, place + 1 < key.bytes.count, key.bytes[place + 1] & 0xc0 == 0x80 { continue }
            if used + unit.count > chunkBytesMax {
                path += "+/"
                used = 0
            }
            path += String(decoding: unit, as: UTF8.self)
            used += unit.count
            unit = []
        }
        return "\(path)@\(version)"
    }

    /// The key of such a path; nil where it is none that `plain` or `escaped` makes.
    public static func key(of path: String) -> ObjectKey? {
        if path.hasPrefix(plainFolder + "/") {
            let key = ObjectKey(bytes: Array(path.utf8.dropFirst(plainFolder.utf8.count + 1)))
            return plain(key) == path ? key : nil
        }
        guard path.hasPrefix(escapedFolder + "/"), let end = path.utf8.lastIndex(of: at) else { return nil }
        var bytes: [UInt8] = []
        var rest = path.utf8[..<end].dropFirst(escapedFolder.utf8.count + 1)
        while let byte = rest.popFirst() {
            switch byte {
            case percent:
                guard let high = rest.popFirst().flatMap(digit), let low = rest.popFirst().flatMap(digit) else { return nil }
                bytes.append(high << 4 | low)
            case plus:
                guard rest.popFirst() == slash else { return nil }
            default: bytes.append(byte)
            }
        }
        let key = ObjectKey(bytes: bytes)
        let version = String(decoding: path.utf8[path.utf8.index(after: end)...], as: UTF8.self)
        return escaped(key, version: version) == path ? key : nil
    }

    /// Whether a path stays in the folder that it is read from, as long as no folder below that is a link.
    public static func isInside(_ path: String) -> Bool {
        !path.utf8.contains(0)
            && path.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { !$0.isEmpty && $0 != "." && $0 != ".." }
    }

    private static let slash = UInt8(ascii: "/")
    private static let percent = UInt8(ascii: "%")
    private static let plus = UInt8(ascii: "+")
    private static let at = UInt8(ascii: "@")
    private static let marks = [slash, percent, plus, at]

    private static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 || byte == 0x7f }

    private static func digit(_ byte: UInt8) -> UInt8? {
        Character(UnicodeScalar(byte)).hexDigitValue.flatMap { UInt8(exactly: $0) }
    }
}
