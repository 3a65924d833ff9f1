// How a command ends: prints what it has to say, and hands its exit code to the process.

import ArgumentParser
import LimitConsole

extension CommandResult {
  /// Prints, and ends the command where the exit code is not 0. Output that cannot be written is an
  /// error of its own; a reader that has gone is none.
  func finish() throws {
    // Where standard error is closed there is nobody to tell. Errors quote what they were given.
    try? StandardStream.error.write(visibleLines(errors))
    do throws(OutputError) {
      try StandardStream.output.write(output)
    } catch {
      if error.isBrokenPipe { throw ExitCode(exitCode == 0 ? ExitCode.failure.rawValue : exitCode) }
      StandardStream.tell(error.message)
      throw ExitCode.failure
    }
    if exitCode != 0 { throw ExitCode(exitCode) }
  }
}
