// `limitctl config`: policy files, and what a running daemon has made of its own.

import ArgumentParser

struct Config: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Checks and explains policy files, and shows the rules in force.",
    subcommands: [ConfigCheck.self, ConfigExplain.self, ConfigShow.self]
  )
}
