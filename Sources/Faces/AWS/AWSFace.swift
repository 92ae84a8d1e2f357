//  The AWS face: one HTTP server for every service of AWS that this cloud speaks.

import Compute
import Identity
import Images
import Listening
import Logging
import Meters
import Model
import Networks
import S3
import Volumes

/// How the face is reached and what it bears.
public struct AWSFaceConfiguration: Sendable {
    public var listener = HTTPListener(address: "127.0.0.1", port: 8773)
    /// The cloud's region; a second region is a second cloud.
    public var region: String
    /// `host:port` as DescribeRegions tells it; nil for the address that it listens on.
    public var endpoint: String?
    /// A longer body is refused unread.
    public var bodyBytesMax = 1 << 20
    /// Calls a second, and at once, of one source address and of one access key.
    public var callsPerSecond: Double = 5000
    public var callsBurst: Double = 10_000
    /// How long a changing call without a token may come again with the same signature: what a client
    /// sends twice within one second it signs alike.
    public var repetitionGrace = Duration.seconds(5)

    public init(region: String) { self.region = region }
}

/// Reads a machine's serial log from where it runs; the time is that of the last output.
public typealias ConsoleReader = @Sendable (ID<Instance>) async throws(Fault) -> (output: [UInt8], at: Instant)

/// What the face counts of its calls.
public struct FaceMeters: Sendable {
    /// An action that there is not counts as `unknown`, so that callers choose no series; a call that
    /// succeeds has the code `OK`.
    public let calls = Counter(
        MeterFamily(
            "karri_api_requests_total", "Calls of the API, by the code of their answers.", labels: ["service", "action", "code"]))
    public let spans = Histogram(
        MeterFamily("karri_api_request_seconds", "How long calls of the API take.", labels: ["service", "action"]))

    public init() {}
}

/// Whether the cloud can serve, and if not, why.
public typealias ReadinessCheck = @Sendable () async -> String?

/// The AWS face over the services.
public struct AWSFace: Sendable {
    let configuration: AWSFaceConfiguration
    let logger: Logger
    let responder: AWSResponder
    public var meters: FaceMeters { responder.meters }

    /// - Parameters:
    ///   - s3: The object store, under the same address; nil where there is none.
    ///   - readiness: Answers who asks whether calls can be served; signs nothing and tells nothing else.
    ///   - consoleOutput: Asks the owner of a machine for its console. That the caller may read it is
    ///     decided before.
    public init(
        configuration: AWSFaceConfiguration, identity: IdentityService, compute: ComputeService, images: ImagesService,
        volumes: VolumesService, networks: NetworksService, s3: S3Face? = nil, chance: Chance, logger: Logger,
        readiness: @escaping ReadinessCheck = { nil }, consoleOutput: @escaping ConsoleReader
    ) {
        self.configuration = configuration
        self.logger = logger
        let ec2 = EC2Face(
            region: configuration.region,
            endpoint: configuration.endpoint ?? "\(configuration.listener.address):\(configuration.listener.port)",
            compute: compute, images: images, volumes: volumes, networks: networks, consoleOutput: consoleOutput)
        responder = AWSResponder(
            configuration: configuration, identity: identity, ec2: ec2, s3: s3, readiness: readiness, chance: chance,
            logger: logger)
    }

    /// Serves until the task is cancelled.
    ///
    /// - Parameter onListening: Called once with the port, when calls are taken.
    /// - Throws: What the listener throws, such as that the port is taken.
    public func run(onListening: @escaping @Sendable (_ port: Int) async -> Void = { _ in }) async throws {
        try await configuration.listener.serve(responder, logger: logger, onListening: onListening)
    }
}
