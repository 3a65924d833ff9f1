// `limitctl metrics`: the daemon's figures as Prometheus reads them.

import ArgumentParser
import LimitConsole

struct Metrics: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Prints the daemon's figures in the text format of Prometheus.",
    discussion: "Exit codes: 0 done; 1 error; 3 the daemon cannot be reached; 64 usage."
  )

  @OptionGroup var admin: AdminEndpointOptions

  func run() throws {
    let result: CommandResult
    do throws(AdminError) {
      result = CommandResult(output: try AdminClient(path: admin.path).text("/metrics"))
    } catch {
      result = error.result
    }
    try result.finish()
  }
}
