//  TLS below HTTP for connections of a listener. Each connection takes the context that is
//  current when it begins, which is how a renewed certificate comes in without a restart.

import Certificates
import HummingbirdCore
import Logging
import NIOCore
import NIOSSL

/// A child channel that speaks TLS before what `base` speaks.
struct SecureChannel<Base: ServerChildChannel>: ServerChildChannel {
    let base: Base
    let context: ListenerContext

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Base.Value> {
        channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context.current))
        }.flatMap { base.setup(channel: channel, logger: logger) }
    }

    func handle(value: Base.Value, logger: Logger) async { await base.handle(value: value, logger: logger) }
}

extension HTTPServerBuilder {
    /// HTTP/1.1, over TLS where there is a context.
    static func listener(_ configuration: HTTP1Channel.Configuration, _ context: ListenerContext?) -> HTTPServerBuilder {
        .init { responder in
            let plain = LoopChannel(base: HTTP1Channel(responder: responder, configuration: configuration))
            guard let context else { return plain }
            return SecureChannel(base: plain, context: context)
        }
    }
}
