// `limitctl version`: which release this is, and which one the daemon is.

import ArgumentParser
import LimitClient
import LimitConsole
import LimitProtocol

struct Version: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Says which release limitctl is, and which one the daemon.",
    discussion: """
      Asks the daemon for its version; limitctl --version says its own without asking.

      Exit codes: 0 both are told; 1 error; 3 the daemon cannot be reached; 64 usage.
      """
  )

  @OptionGroup var daemon: DaemonOptions

  func run() throws {
    let client = BlockingLimitClient(try daemon.configuration)
    var reached: HelloReply?
    var failure: LimitClientError?
    do throws(LimitClientError) {
      reached = try client.hello()
    } catch {
      failure = error
    }
    try Self.result(
      reached, failure.map { DaemonExit.result($0, at: daemon.endpoint) }, asJSON: daemon.json
    ).finish()
  }

  /// Both versions, as far as they are known.
  static func result(_ hello: HelloReply?, _ failure: CommandResult?, asJSON json: Bool)
    -> CommandResult
  {
    var result = failure ?? CommandResult()
    if json {
      result.output =
        JSONValue.object([
          ("format", .string("limitctl-version/1")),
          ("limitctl", .string(Release.version)),
          ("limitctl_protocol", .string("\(ProtocolVersion.current)")),
          ("limitd", hello.map { .string($0.daemonVersion) } ?? .null),
          ("limitd_protocol", hello.map { .string("\($0.version)") } ?? .null),
        ]).text + "\n"
    } else {
      result.output = "limitctl  \(Release.version) (protocol \(ProtocolVersion.current))\n"
      if let hello {
        result.output += "limitd    \(visible(hello.daemonVersion)) (protocol \(hello.version))\n"
      }
    }
    return result
  }
}
