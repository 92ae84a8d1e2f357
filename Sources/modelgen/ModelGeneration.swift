//  Writes the Swift types of AWS's services from the facts in Models. Run from the repository's
//  root: `swift run modelgen`. What it writes is committed.

import FoundationEssentials

@main struct ModelGeneration {
    static func main() throws {
        let root = CommandLine.arguments.dropFirst().first ?? FileManager.default.currentDirectoryPath
        try Generator(root: URL(filePath: root)).write()
    }
}
