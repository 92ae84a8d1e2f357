//  A folder that a benchmark has for itself: nobody's files are in it before, and none of its own afterwards.

import FoundationEssentials
import Model
import Platform

/// A folder that was empty, or was not there, when the benchmark began.
struct ScratchFolder: Sendable {
    let path: String
    private let wasThere: Bool

    /// Takes a folder.
    ///
    /// - Throws: `inUse` for one that holds anything, `storage` for one that cannot be made.
    init(_ path: String) throws(Fault) {
        self.path = path
        wasThere = FileManager.default.fileExists(atPath: path)
        guard try Folder.names(in: path).isEmpty else {
            throw Fault(.inUse, "\(path) is not empty, and a benchmark would remove what is in it: name another with --root")
        }
        try Folder.make(path)
    }

    /// Removes all that has come into it since, and itself where it was made.
    func remove() {
        guard wasThere else {
            try? FileManager.default.removeItem(atPath: path)
            return
        }
        for name in Folder.readableNames(in: path) { try? FileManager.default.removeItem(atPath: "\(path)/\(name)") }
    }
}
