// What a command has to say, apart from saying it: made by the command's logic, printed and ended
// with by its `run`, so that tests see both without a process. A value: any thread may make one.

/// Text for standard output and standard error, and the exit code.
package struct CommandResult: Equatable, Sendable {
  package var output = ""
  package var errors = ""
  package var exitCode: Int32 = 0

  package init(output: String = "", errors: String = "", exitCode: Int32 = 0) {
    self.output = output
    self.errors = errors
    self.exitCode = exitCode
  }
}
