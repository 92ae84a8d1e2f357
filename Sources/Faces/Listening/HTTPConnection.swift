//  What every face knows of the connection that a call came by.

import Hummingbird
import NIOCore

public struct HTTPConnection: RequestContext {
    public var coreContext: CoreRequestContextStorage
    public let channel: any Channel
    /// The peer's address in text; nil for a Unix socket.
    public let sourceAddress: String?

    public init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
        sourceAddress = source.channel.remoteAddress?.ipAddress
    }
}
