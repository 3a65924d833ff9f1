// The command line's root: which commands there are. One file per command.

import ArgumentParser

@main struct Limitctl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "limitctl",
    abstract: "Tries and manages limitd, the rate limiter for every tenant on a host.",
    subcommands: [
      Check.self,
      Peek.self,
      Refund.self,
      Hold.self,
      Ping.self,
      Bench.self,
      Replay.self,
      Config.self,
    ]
  )
}
