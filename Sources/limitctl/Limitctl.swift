import ArgumentParser

@main struct Limitctl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "limitctl",
    abstract: "Tries and manages limitd, the rate limiter for every tenant on a host.",
    subcommands: [
      Config.self,
      Replay.self,
    ]
  )
}
