// `limitctl config`: what can be said about a policy file without a daemon.

import ArgumentParser

struct Config: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Checks and explains policy files.",
    subcommands: [ConfigCheck.self, ConfigExplain.self]
  )
}

/// What a command has to say: made by its logic, printed and ended with by its `run`, so that tests
/// see both without a process.
struct CommandResult: Equatable {
  var output = ""
  var errors = ""
  var exitCode: Int32 = 0

  /// Prints, and ends the process where the exit code is not 0.
  func finish() throws {
    StandardStream.error.write(errors)
    StandardStream.output.write(output)
    if exitCode != 0 { throw ExitCode(exitCode) }
  }
}
