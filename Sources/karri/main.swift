//  The program `karri`. Everything that it does lies in the command line's target, where it is tested.

import CommandLine
import Dispatch

// Before anything is concurrent: the confined reader may have no room for threads.
HeaderReader.runIfNamed()
// The one task that is nobody's child: all others are below it.
Task { await KarriCommand.runAndExit() }
dispatchMain()
