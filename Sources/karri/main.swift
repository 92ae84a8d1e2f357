//  The program `karri`. Everything that it does lies in the command line's target, where it is tested.

import CommandLine

await KarriCommand.runAndExit()
