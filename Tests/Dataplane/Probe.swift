//  Sends real packets between namespaces: one Python process that enters them thread by thread and
//  tries all that it is asked side by side, so that what must fail costs one timeout.

import FoundationEssentials
import Model
import Platform
import Testing

/// One try, with what should come of it.
struct Try: Encodable, Sendable {
    enum Kind: String, Encodable { case tcp, udp, icmp, frame, arp, listen, vxlan }

    var kind: Kind
    /// The namespace that asks, and the one that answers.
    var from: String
    var to: String?
    /// The address asked for, and the one that the answering side binds.
    var address: String?
    var bind: String?
    var port = 0
    /// For frames: the sender's link, its claimed MAC and address, and the payload's wrapping.
    var link: String?
    var mac: String?
    var source: String?
    /// A UDP payload in hex, instead of a word.
    var payload: String?
    /// "" is no answer; else the peer's address as the answering side saw it, or "ok".
    var expect: String
    var note: String
}

extension Try {
    static func tcp(
        _ from: String, _ to: String?, _ address: String, _ port: Int, bind: String = "0.0.0.0", _ expect: String, _ note: String
    ) -> Try {
        Try(kind: .tcp, from: from, to: to, address: address, bind: bind, port: port, expect: expect, note: note)
    }

    static func udp(
        _ from: String, _ to: String?, _ address: String, _ port: Int, bind: String = "0.0.0.0", _ expect: String, _ note: String
    ) -> Try {
        Try(kind: .udp, from: from, to: to, address: address, bind: bind, port: port, expect: expect, note: note)
    }

    static func icmp(_ from: String, _ address: String, _ expect: String, _ note: String) -> Try {
        Try(kind: .icmp, from: from, address: address, expect: expect, note: note)
    }

    /// A UDP datagram in a frame made by hand.
    static func frame(
        _ from: String, link: String = "eth0", mac: String, source: String, to: String?, _ address: String, _ port: Int,
        payload: String? = nil,
        _ expect: String, _ note: String
    ) -> Try {
        Try(
            kind: .frame, from: from, to: to, address: address, bind: "0.0.0.0", port: port, link: link, mac: mac, source: source,
            payload: payload, expect: expect, note: note)
    }
}

extension Try {
    /// Whether a UDP datagram comes, and from whom.
    static func listen(_ namespace: String, _ port: Int, _ expect: String, _ note: String) -> Try {
        Try(kind: .listen, from: namespace, bind: "0.0.0.0", port: port, expect: expect, note: note)
    }

    /// Sends bytes in hex to a VXLAN port.
    static func vxlan(_ from: String, _ address: String, _ payload: String, _ note: String) -> Try {
        Try(kind: .vxlan, from: from, address: address, payload: payload, expect: "", note: note)
    }
}

enum Probe {
    /// Runs the tries and records those that came out otherwise, with what came.
    static func check(
        _ tries: [Try], timeoutSeconds: Double = 1.0, at location: SourceLocation = #_sourceLocation
    ) async throws {
        for failure in try await failures(tries, timeoutSeconds: timeoutSeconds) {
            Issue.record("\(failure)", sourceLocation: location)
        }
    }

    private static func failures(_ tries: [Try], timeoutSeconds: Double) async throws -> [String] {
        let input = String(decoding: try JSONEncoder().encode(tries), as: UTF8.self)
        let output = try await Command.run("/usr/bin/python3", ["-c", script, "\(timeoutSeconds)"], input: input)
        let results = try JSONDecoder().decode([String].self, from: Data(output.utf8))
        guard results.count == tries.count else { return ["the probe answered \(results.count) of \(tries.count) tries"] }
        return zip(tries, results).filter { $0.expect != $1 }.map { "\($0.note): expected '\($0.expect)', came '\($1)'" }
    }

    /// Opens a TCP connection, waits until `change` is done, and tells whether it still carries.
    static func survives(
        from: String, to: String, address: String, port: Int, folder: String, _ change: () async throws -> Void
    ) async throws -> Bool {
        let mark = "\(folder)/flow-\(from)-\(port)"
        async let outcome = Command.run("/usr/bin/python3", ["-c", flow, from, to, address, "\(port)", mark])
        for _ in 0..<200 where try AtomicFile.read("\(mark).open") == nil { try await Task.sleep(for: .milliseconds(25)) }
        try await change()
        try AtomicFile.write([], to: "\(mark).go")
        return try await outcome == "ok\n"
    }

    private static let enter = #"""
        import ctypes, os, socket, sys, time
        libc = ctypes.CDLL(None, use_errno=True)
        def enter(name):
            with open("/run/netns/" + name) as f:
                if libc.setns(f.fileno(), 0x40000000) != 0: raise OSError(ctypes.get_errno(), name)

        """#

    private static let flow =
        enter + #"""
            _, a, b, address, port, mark = sys.argv
            enter(b)
            server = socket.create_server(("0.0.0.0", int(port)))
            enter(a)
            client = socket.create_connection((address, int(port)), 3)
            served, _ = server.accept()
            open(mark + ".open", "w").close()
            for _ in range(400):
                if os.path.exists(mark + ".go"): break
                time.sleep(0.025)
            client.settimeout(2)
            try:
                client.sendall(b"x"); served.settimeout(2); served.recv(1); served.sendall(b"y")
                print("ok" if client.recv(1) == b"y" else "no")
            except OSError:
                print("no")
            """#

    private static let script =
        enter + #"""
            import json, struct, threading
            silence = float(sys.argv[1])
            local = threading.local()
            # What is to come is waited for however busy the machine is; what is not, for a moment.
            limit = lambda: local.limit
            tries = json.load(sys.stdin)
            results = [""] * len(tries)
            barrier = threading.Barrier(len(tries)) if tries else None

            class ready:
                def wait():
                    try: barrier.wait(5)
                    except threading.BrokenBarrierError: pass


            def checksum(b):
                if len(b) % 2: b += b"\0"
                s = sum(struct.unpack("!%dH" % (len(b) // 2), b))
                while s >> 16: s = (s & 0xffff) + (s >> 16)
                return ~s & 0xffff

            def server(t, kind):
                s = socket.socket(socket.AF_INET, kind)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                s.bind((t["bind"], t["port"]))
                if kind == socket.SOCK_STREAM: s.listen()
                s.settimeout(limit())
                return s

            def run_tcp(t):
                s = None
                if t.get("to"):
                    enter(t["to"]); s = server(t, socket.SOCK_STREAM)
                enter(t["from"]); ready.wait()
                c = socket.create_connection((t["address"], t["port"]), limit())
                if s is None: return "ok"
                p, peer = s.accept(); p.sendall(b"x" * 3000); got = b""; c.settimeout(limit())
                while len(got) < 3000:
                    piece = c.recv(4096)
                    if not piece: return "cut"
                    got += piece
                return peer[0]

            def run_udp(t):
                enter(t["to"]); s = server(t, socket.SOCK_DGRAM)
                enter(t["from"]); ready.wait()
                c = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); c.settimeout(limit())
                c.sendto(b"ask", (t["address"], t["port"]))
                _, peer = s.recvfrom(100)
                s.sendto(b"answer", peer)
                c.recvfrom(100)
                return peer[0]

            def run_icmp(t):
                enter(t["from"]); ready.wait()
                c = socket.socket(socket.AF_INET, socket.SOCK_RAW, 1); c.settimeout(limit())
                ident = os.getpid() ^ threading.get_ident() & 0xffff
                body = struct.pack("!HH", ident & 0xffff, 1) + b"probe"
                packet = struct.pack("!BBH", 8, 0, checksum(struct.pack("!BBH", 8, 0, 0) + body)) + body
                c.sendto(packet, (t["address"], 0)); end = time.time() + limit()
                while time.time() < end:
                    data, peer = c.recvfrom(200)
                    if data[20] == 0 and data[24:28] == body[:4] and peer[0] == t["address"]: return "ok"
                return ""

            def run_frame(t):
                s = None
                if t.get("to"):
                    enter(t["to"]); s = server(t, socket.SOCK_DGRAM)
                enter(t["from"]); ready.wait()
                payload = bytes.fromhex(t["payload"]) if t.get("payload") else b"forged"
                src, dst = socket.inet_aton(t["source"]), socket.inet_aton(t["address"])
                udp = struct.pack("!HHHH", 68 if t["port"] == 67 else 3333, t["port"], 8 + len(payload), 0) + payload
                head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0, src, dst)
                head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
                mac = lambda m: bytes.fromhex(m.replace(":", ""))
                raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); raw.bind((t["link"], 0))
                to = "ff:ff:ff:ff:ff:ff" if t["address"] == "255.255.255.255" else "02:00:00:00:00:01"
                raw.send(mac(to) + mac(t["mac"]) + b"\x08\x00" + head + udp)
                if s is None: return ""
                _, peer = s.recvfrom(2000)
                return peer[0]

            def run_listen(t):
                enter(t["from"]); s = server(t, socket.SOCK_DGRAM); ready.wait()
                _, peer = s.recvfrom(2000)
                return peer[0]

            def run_vxlan(t):
                enter(t["from"]); ready.wait()
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(bytes.fromhex(t["payload"]), (t["address"], 4789))
                return ""

            def run_arp(t):
                enter(t["from"]); ready.wait()
                mac = bytes.fromhex(t["mac"].replace(":", ""))
                raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)); raw.bind((t["link"], 0x0806))
                raw.settimeout(limit())
                ask = struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, mac, socket.inet_aton(t["source"]), b"\0" * 6,
                                  socket.inet_aton(t["address"]))
                raw.send(b"\xff" * 6 + mac + b"\x08\x06" + ask); end = time.time() + limit()
                while time.time() < end:
                    d = raw.recv(100)
                    # The kernel's own questions are answered on this link too.
                    told = d[28:32], d[38:42]
                    if d[20:22] == b"\0\2" and told == (socket.inet_aton(t["address"]), socket.inet_aton(t["source"])):
                        return ":".join("%02x" % x for x in d[22:28])
                return ""

            def go(i, t):
                local.limit = 15 if t["expect"] else silence
                try:
                    results[i] = globals()["run_" + t["kind"]](t)
                except OSError as e:
                    if not isinstance(e, (TimeoutError, ConnectionRefusedError)) and getattr(e, "errno", 0) not in (101, 113, 13):
                        results[i] = "error %r" % e
            threads = [threading.Thread(target=go, args=(i, t), daemon=True) for i, t in enumerate(tries)]
            for t in threads: t.start()
            for t in threads: t.join(60)
            print(json.dumps(results))
            """#
}
