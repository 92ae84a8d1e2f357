//  What libvirt's client library wants once per process: an event loop on a thread of its own, and to
//  be told not to print errors on standard error.

import CLibvirt
import Dispatch
import Model

#if canImport(Glibc)
    import Glibc
#endif

enum LibvirtRuntime {
    /// Whether the library is ready. The library keeps its event loop in globals of its own, so that
    /// this is once a process by its nature, and not by choice.
    static let ready: Bool = {
        virSetErrorFunc(nil, { _, _ in })
        guard virInitialize() == 0, virEventRegisterDefaultImpl() == 0 else { return false }
        let queue = DispatchQueue(label: "libvirt.events")
        queue.async {
            while true {
                // A failing loop must not take a whole CPU.
                if virEventRunDefaultImpl() < 0 { usleep(100_000) }
            }
        }
        return true
    }()
}
