//  The program `karri`. Everything that it does lies in the command line's target, where it is tested.

import CommandLine

#if canImport(Glibc)
    import Glibc
#endif

// Before anything is concurrent: the confined reader may have no room for threads.
HeaderReader.runIfNamed()
// The one task that is nobody's child: all others are below it. Detached, because this thread only
// waits for the end: what the main actor were given would never run.
Task.detached { await KarriCommand.runAndExit() }
while true { pause() }
