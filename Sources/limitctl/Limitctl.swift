// The command line's root: which commands there are, and how the program ends. A command is one
// file in Commands/, and its line in `subcommands`.

import ArgumentParser
import LimitConsole
import LimitProtocol

@main struct Limitctl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "limitctl",
    abstract: "Tries and manages limitd, the rate limiter for every tenant on a host.",
    version: "limitctl \(Release.version) (protocol \(ProtocolVersion.current))",
    subcommands: [
      Check.self,
      Peek.self,
      Settle.self,
      Refund.self,
      Hold.self,
      Ping.self,
      Status.self,
      TenantCommand.self,
      LimitCommand.self,
      Explain.self,
      Why.self,
      Top.self,
      Events.self,
      Shadow.self,
      Reload.self,
      AuditCommand.self,
      Metrics.self,
      Doctor.self,
      Bench.self,
      Replay.self,
      Config.self,
      Snapshot.self,
      Version.self,
    ]
  )

  /// Here too, so that it may stand before the command.
  @OptionGroup var endpoint: EndpointOptions

  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    do {
      if let slip = CommandNameSlip.find(in: arguments, of: Self.self) {
        try CommandResult(errors: slip.message, exitCode: ExitCode.validationFailure.rawValue)
          .finish()
      }
      var command = try parseAsRoot(arguments)
      try command.run()
    } catch {
      end(with: error)
    }
  }

  /// Prints what an error has to say, help and versions included, and ends the process.
  private static func end(with error: any Error) -> Never {
    let text = UsageText.wrapped(visibleLines(fullMessage(for: error)))
    let code = exitCode(for: error)
    guard !text.isEmpty else { exit(withError: error) }
    do throws(OutputError) {
      try (code.isSuccess ? StandardStream.output : .error).write(text + "\n")
    } catch {
      if !error.isBrokenPipe { StandardStream.tell(error.message) }
      exit(withError: ExitCode.failure)
    }
    exit(withError: code)
  }
}
