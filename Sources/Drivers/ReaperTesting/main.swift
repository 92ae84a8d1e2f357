//  The reaper as a program of its own, for tests of the hypervisor's layer alone, which have no `karri`
//  to run it as.

import Hypervisor

#if canImport(Glibc)
    import Glibc
#endif

exit(Reaper.run(Array(CommandLine.arguments.dropFirst())))
