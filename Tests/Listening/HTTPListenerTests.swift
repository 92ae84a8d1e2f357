//  A listener's life: it answers, finishes what it was answering when it is to end, and bears being
//  ended while connections come in.

import Foundation
import Glibc
import Hummingbird
import Logging
import Synchronization
import Testing

@testable import Listening

struct HTTPListenerTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// Runs `body` with the port of a listener that answers after `pause`, then ends the listener.
    private func serving(pause: Duration = .zero, _ body: @escaping @Sendable (UInt16) async throws -> Void) async throws {
        let responder = CallbackResponder { (_: Request, _: BasicRequestContext) in
            try? await Task.sleep(for: pause)
            return Response(status: .ok, body: ResponseBody(byteBuffer: ByteBuffer(string: "here")))
        }
        let (ports, told) = AsyncStream.makeStream(of: UInt16.self)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await HTTPListener(address: "127.0.0.1", port: 0).serve(responder, logger: logger) {
                    told.yield(UInt16($0))
                }
                told.finish()
            }
            for await port in ports {
                try await body(port)
                group.cancelAll()
            }
            try await group.waitForAll()
        }
    }

    /// Sends a request and reads until the other end closes or the answer is whole.
    private static func ask(_ port: UInt16) -> String {
        let socket = dial(port)
        guard socket >= 0 else { return "" }
        defer { close(socket) }
        let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        send(socket, request, request.utf8.count, Int32(MSG_NOSIGNAL))
        var answer = ""
        var bytes = [UInt8](repeating: 0, count: 1024)
        while !answer.hasSuffix("here") {
            let count = recv(socket, &bytes, bytes.count, 0)
            if count <= 0 { break }
            answer += String(decoding: bytes.prefix(count), as: UTF8.self)
        }
        return answer
    }

    private static func dial(_ port: UInt16) -> Int32 {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard result == 0 else {
            close(socket)
            return -1
        }
        return socket
    }

    @Test func answersAndEnds() async throws {
        try await serving { port in
            #expect(HTTPListenerTests.ask(port).hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test func finishesWhatItWasAnswering() async throws {
        let (answers, told) = AsyncStream.makeStream(of: String.self)
        try await serving(pause: .milliseconds(300)) { port in
            Thread {
                told.yield(HTTPListenerTests.ask(port))
                told.finish()
            }.start()
            try await Task.sleep(for: .milliseconds(150))
        }
        for await answer in answers { #expect(answer.hasPrefix("HTTP/1.1 200")) }
    }

    /// A server that was cancelled instead trapped within some rounds of this.
    @Test func endsWhileConnectionsComeIn() async throws {
        for _ in 0..<40 {
            let isOver = Mutex(false)
            try await serving { port in
                for _ in 0..<2 {
                    Thread {
                        while !isOver.withLock({ $0 }) {
                            let socket = HTTPListenerTests.dial(port)
                            if socket >= 0 { close(socket) }
                        }
                    }.start()
                }
                try await Task.sleep(for: .milliseconds(5))
            }
            isOver.withLock { $0 = true }
        }
    }
}
