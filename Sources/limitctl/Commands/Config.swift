// `limitctl config`: what can be said about a policy file without a daemon.

import ArgumentParser

struct Config: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Checks and explains policy files.",
    subcommands: [ConfigCheck.self, ConfigExplain.self]
  )
}
