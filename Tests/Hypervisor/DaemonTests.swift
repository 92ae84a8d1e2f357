import Testing

@testable import Hypervisor

/// What a fresh libvirtd is not to take up.
struct DaemonTests {
    @Test(arguments: [
        ("<!--\nWARNING\n-->\n\n<domstatus state='paused' reason='starting up' pid='0'>\n  <vcpus/>\n</domstatus>", true),
        ("<domstatus state='paused' reason='starting up' pid='812'>", true),
        ("<domstatus state='paused' reason='user' pid='812'>", false),
        ("<domstatus state='running' reason='unpaused' pid='812'>\n<name>reason='starting up'</name>", false),
        ("<domain reason='starting up'>", false),
        ("<domstatus ", false),
        ("", false),
    ])
    func halfStartedMachinesAreKnown(status: String, isHalfStarted: Bool) {
        #expect(LibvirtDaemon.isHalfStarted(status) == isHalfStarted)
    }
}
