//  Files that are the old or the new one, whoever writes them at once.

import Dispatch
import Foundation
import Model
import Testing

@testable import Platform

@Suite struct AtomicFileTests {
    @Test func writersOfOneFileDoNotMix() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("karri-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.path + "/file"
        // Of different lengths, so that one that was written into another's file is seen.
        let contents = (1...8).map { [UInt8](repeating: UInt8($0), count: $0 * 1000) }
        for _ in 0..<20 {
            DispatchQueue.concurrentPerform(iterations: contents.count) { number in
                do throws(Fault) { try AtomicFile.write(contents[number], to: path) } catch { Issue.record(error) }
            }
            #expect(contents.contains(try #require(try AtomicFile.read(path))))
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["file"])
    }
}
