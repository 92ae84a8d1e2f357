// swift-tools-version: 6.2
//
// The house's plan: every folder under Sources is one target, and targets import only downwards
// (docs/architecture.md). KARRI_LAYER=Dataplane narrows the package to that target, what it
// needs and its tests, so that a developer builds and links one layer.

import PackageDescription

/// One target of the house, with the targets of its own package and of others that it imports.
struct Part {
    enum Kind {
        case library, executable, cLibrary
        case system(pkgConfig: String, apt: String)
    }
    var name: String
    var folder: String
    var kind: Kind = .library
    var uses: [String] = []
    var products: [String] = []
    var tested = false
    /// What its tests import besides.
    var testUses: [String] = []
}

/// Products of other packages: product name -> (package, repository, version).
let products: [String: (package: String, url: String, version: Version)] = [
    "ArgumentParser": ("swift-argument-parser", "https://github.com/apple/swift-argument-parser", "1.8.2"),
    "AsyncAlgorithms": ("swift-async-algorithms", "https://github.com/apple/swift-async-algorithms", "1.1.4"),
    "Crypto": ("swift-crypto", "https://github.com/apple/swift-crypto", "4.5.2"),
    "CryptoExtras": ("swift-crypto", "https://github.com/apple/swift-crypto", "4.5.2"),
    "GRPCCore": ("grpc-swift-2", "https://github.com/grpc/grpc-swift-2", "2.4.3"),
    "GRPCNIOTransportHTTP2": ("grpc-swift-nio-transport", "https://github.com/grpc/grpc-swift-nio-transport", "2.9.2"),
    "GRPCProtobuf": ("grpc-swift-protobuf", "https://github.com/grpc/grpc-swift-protobuf", "2.4.1"),
    "Hummingbird": ("hummingbird", "https://github.com/hummingbird-project/hummingbird", "2.28.1"),
    "Logging": ("swift-log", "https://github.com/apple/swift-log", "1.16.2"),
    "NIOCore": ("swift-nio", "https://github.com/apple/swift-nio", "2.101.2"),
    "NIOHTTP1": ("swift-nio", "https://github.com/apple/swift-nio", "2.101.2"),
    "NIOPosix": ("swift-nio", "https://github.com/apple/swift-nio", "2.101.2"),
    "NIOSSL": ("swift-nio-ssl", "https://github.com/apple/swift-nio-ssl", "2.37.6"),
    "ServiceLifecycle": ("swift-service-lifecycle", "https://github.com/swift-server/swift-service-lifecycle", "2.13.0"),
    "Subprocess": ("swift-subprocess", "https://github.com/swiftlang/swift-subprocess", "1.0.2"),
    "SwiftASN1": ("swift-asn1", "https://github.com/apple/swift-asn1", "1.7.4"),
    "SwiftProtobuf": ("swift-protobuf", "https://github.com/apple/swift-protobuf", "1.39.0"),
    "X509": ("swift-certificates", "https://github.com/apple/swift-certificates", "1.21.1"),
]

let house: [Part] = [
    // Libraries of the operating system.
    Part(name: "CSQLite", folder: "System/CSQLite", kind: .system(pkgConfig: "sqlite3", apt: "libsqlite3-dev")),
    Part(name: "CPostgreSQL", folder: "System/CPostgreSQL", kind: .system(pkgConfig: "libpq", apt: "libpq-dev")),
    Part(name: "CLibvirt", folder: "System/CLibvirt", kind: .system(pkgConfig: "libvirt", apt: "libvirt-dev")),
    Part(name: "CLibXML", folder: "System/CLibXML", kind: .system(pkgConfig: "libxml-2.0", apt: "libxml2-dev")),
    Part(name: "CLinux", folder: "System/CLinux", kind: .cLibrary),
    Part(name: "CChecksums", folder: "System/CChecksums", kind: .cLibrary),

    // Foundation.
    Part(name: "Model", folder: "Foundation/Model", tested: true),
    Part(name: "Checksums", folder: "Foundation/Checksums", uses: ["CChecksums"], tested: true),
    Part(name: "Meters", folder: "Foundation/Meters", uses: ["Model"], tested: true),
    Part(
        name: "Platform", folder: "Foundation/Platform", uses: ["Model", "CLinux"],
        products: ["Logging", "NIOPosix", "Subprocess"], tested: true),
    Part(name: "Authority", folder: "Foundation/Authority", uses: ["Model"], products: ["Crypto", "CryptoExtras"], tested: true),
    Part(
        name: "Certificates", folder: "Foundation/Certificates", uses: ["Model", "Platform"],
        products: ["Crypto", "CryptoExtras", "NIOSSL", "SwiftASN1", "X509"], tested: true),
    Part(
        name: "Database", folder: "Foundation/Database", uses: ["Model", "Platform", "Meters", "CSQLite", "CPostgreSQL", "CLinux"],
        tested: true,
        testUses: ["DatabaseTesting"]),
    Part(name: "DatabaseTesting", folder: "Foundation/DatabaseTesting", uses: ["Model", "Platform", "Database", "CPostgreSQL"]),
    Part(
        name: "Store", folder: "Foundation/Store", uses: ["Model", "Authority", "Database"], tested: true,
        testUses: ["DatabaseTesting"]),
    Part(
        name: "Operations", folder: "Foundation/Operations", uses: ["Model", "Meters", "Store", "Platform"], products: ["Logging"],
        tested: true, testUses: ["DatabaseTesting"]),
    Part(
        name: "Fabric", folder: "Foundation/Fabric", uses: ["Model", "Platform"],
        products: ["Crypto", "GRPCCore", "GRPCNIOTransportHTTP2", "GRPCProtobuf", "SwiftProtobuf"], tested: true),

    Part(
        name: "Outbound", folder: "Foundation/Outbound", uses: ["Model", "Platform"],
        products: ["NIOCore", "NIOHTTP1", "NIOPosix", "NIOSSL"], tested: true),

    // Drivers.
    Part(
        name: "Hypervisor", folder: "Drivers/Hypervisor", uses: ["Model", "Platform", "CLibvirt", "CLinux"],
        products: ["Logging"], tested: true, testUses: ["ReaperTesting"]),
    Part(name: "ReaperTesting", folder: "Drivers/ReaperTesting", kind: .executable, uses: ["Hypervisor"]),
    Part(
        name: "Disks", folder: "Drivers/Disks", uses: ["Model", "Platform", "CLinux"], products: ["Logging", "Crypto"], tested: true
    ),
    Part(
        name: "ObjectStorage", folder: "Drivers/ObjectStorage", uses: ["Model", "Platform", "Checksums", "Database", "CLinux"],
        products: ["NIOCore", "NIOPosix"], tested: true),
    Part(name: "Dataplane", folder: "Drivers/Dataplane", uses: ["Model", "Platform"], products: ["Logging"], tested: true),

    // Controllers.
    Part(
        name: "Edge", folder: "Controllers/Edge", uses: ["Model", "Platform", "CLinux"],
        products: ["Logging", "NIOCore", "NIOPosix", "NIOHTTP1", "Crypto"], tested: true),
    Part(
        name: "Node", folder: "Controllers/Node",
        uses: ["Model", "Platform", "Fabric", "Hypervisor", "Disks", "Dataplane", "Edge"], products: ["Logging"], tested: true,
        testUses: ["Cluster", "Compute", "Identity", "DatabaseTesting"]),
    Part(
        name: "Cluster", folder: "Controllers/Cluster",
        uses: ["Model", "Platform", "Authority", "Database", "Store", "Operations", "Fabric", "Edge"],
        products: ["Logging"], tested: true, testUses: ["CloudTesting"]),

    Part(
        name: "Supervisor", folder: "Controllers/Supervisor", uses: ["Model", "Platform", "CLinux", "Certificates"],
        products: ["Logging"],
        tested: true),

    // Services.
    Part(
        name: "Identity", folder: "Services/Identity", uses: ["Model", "Authority", "Store", "Networks"], tested: true,
        testUses: ["CloudTesting"]),
    Part(name: "Images", folder: "Services/Images", uses: ["Model", "Authority", "Store", "Operations"]),
    Part(name: "Volumes", folder: "Services/Volumes", uses: ["Model", "Authority", "Store", "Operations"]),
    Part(name: "Networks", folder: "Services/Networks", uses: ["Model", "Authority", "Store", "Operations"]),
    Part(
        name: "Compute", folder: "Services/Compute",
        uses: ["Model", "Authority", "Store", "Operations", "Images", "Volumes", "Networks"], products: ["Crypto"], tested: true,
        testUses: ["CloudTesting"]),
    Part(
        name: "Objects", folder: "Services/Objects",
        uses: ["Model", "Platform", "Authority", "Checksums", "Database", "ObjectStorage", "Outbound"],
        products: ["Logging", "NIOCore", "NIOPosix", "Crypto"], tested: true),
    Part(
        name: "CloudTesting", folder: "Services/CloudTesting",
        uses: ["Model", "Authority", "Database", "DatabaseTesting", "Store", "Operations", "Identity", "Compute"],
        products: ["Logging"]),

    // Faces.
    Part(
        name: "Listening", folder: "Faces/Listening", uses: ["Certificates", "Platform"],
        products: ["Hummingbird", "Logging", "NIOCore", "NIOSSL", "ServiceLifecycle"], tested: true),
    Part(
        name: "AWSProtocol", folder: "Faces/AWSProtocol", uses: ["Model", "Authority"], products: ["Crypto"], tested: true,
        testUses: ["EC2Model", "STSModel", "modelgen", "Platform"]),
    Part(name: "EC2Model", folder: "Faces/AWSModels/EC2", uses: ["AWSProtocol"]),
    Part(name: "STSModel", folder: "Faces/AWSModels/STS", uses: ["AWSProtocol"]),
    Part(
        name: "S3", folder: "Faces/S3",
        uses: [
            "Model", "AWSProtocol", "Listening", "Meters", "Objects", "ObjectStorage", "Authority", "Checksums", "CLibXML",
        ],
        products: ["Hummingbird", "Logging", "Crypto", "NIOCore"], tested: true),
    Part(
        name: "AWS", folder: "Faces/AWS",
        uses: [
            "AWSProtocol", "EC2Model", "STSModel", "S3", "Listening", "Meters", "Identity", "Images", "Volumes", "Networks",
            "Compute",
            "Platform",
        ],
        products: ["Hummingbird", "Logging", "Crypto", "CryptoExtras", "NIOCore"], tested: true,
        testUses: ["Authority", "Database", "DatabaseTesting", "Operations", "Store"]),
    Part(
        name: "Benchmarks", folder: "Benchmarks",
        uses: ["Model", "Platform", "Database", "DatabaseTesting", "Store", "AWSProtocol", "Dataplane", "ObjectStorage"],
        products: ["Crypto", "Logging", "NIOCore"]),
    Part(
        name: "CommandLine", folder: "Faces/CommandLine",
        uses: [
            "CLinux", "Model", "Meters", "Platform", "Authority", "Database", "Store", "Operations", "Fabric", "Hypervisor",
            "Disks",
            "Dataplane", "Edge",
            "Certificates", "Node", "Cluster", "Supervisor", "Identity", "Images", "Volumes", "Networks", "Compute",
            "ObjectStorage", "Objects", "Listening", "AWS", "S3", "Benchmarks",
        ], products: ["ArgumentParser", "Hummingbird", "Logging", "NIOCore", "Crypto", "GRPCCore", "GRPCNIOTransportHTTP2"],
        tested: true,
        testUses: ["DatabaseTesting"]
    ),
    Part(name: "karri", folder: "karri", kind: .executable, uses: ["CommandLine"]),
    Part(name: "modelgen", folder: "modelgen", kind: .executable),
]

/// The parts that `name` reaches through `uses`, itself included.
func reached(from name: String, _ seen: Set<String> = []) -> Set<String> {
    guard let part = house.first(where: { $0.name == name }) else { fatalError("no part is named \(name)") }
    return part.uses.reduce(seen.union([name])) { seen, used in seen.contains(used) ? seen : reached(from: used, seen) }
}

/// The parts that building and testing `name` takes.
func needed(by name: String) -> Set<String> {
    let testUses = house.first { $0.name == name }?.testUses ?? []
    return testUses.reduce(reached(from: name)) { seen, used in reached(from: used, seen) }
}

let layer = Context.environment["KARRI_LAYER"]
let kept = layer.map { layer in house.filter { needed(by: layer).contains($0.name) } } ?? house
let settings: [SwiftSetting] = [.treatAllWarnings(as: .error), .enableUpcomingFeature("ExistentialAny")]

let targets: [Target] = kept.flatMap { part -> [Target] in
    let path = "Sources/\(part.folder)"
    let dependencies: [Target.Dependency] =
        part.uses.map { .byName(name: $0) } + part.products.map { .product(name: $0, package: products[$0]!.package) }
    let target: Target
    switch part.kind {
    case .system(let pkgConfig, let apt):
        target = .systemLibrary(name: part.name, path: path, pkgConfig: pkgConfig, providers: [.apt([apt])])
    case .cLibrary:
        target = .target(name: part.name, path: path)
    case .library:
        target = .target(name: part.name, dependencies: dependencies, path: path, swiftSettings: settings)
    case .executable:
        target = .executableTarget(name: part.name, dependencies: dependencies, path: path, swiftSettings: settings)
    }
    guard part.tested, layer == nil || layer == part.name else { return [target] }
    let tests = Target.testTarget(
        name: "\(part.name)Tests",
        dependencies: [.byName(name: part.name)] + part.testUses.map { .byName(name: $0) } + dependencies,
        path: "Tests/\(part.name)",
        swiftSettings: settings)
    return [target, tests]
}

let named = Set(kept.flatMap(\.products))
let repositories = Dictionary(products.filter { named.contains($0.key) }.map { ($0.value.url, $0.value.version) }) { first, _ in
    first
}

let package = Package(
    name: "karri",
    dependencies: repositories.sorted { $0.key < $1.key }.map { .package(url: $0.key, exact: $0.value) },
    targets: targets
)
