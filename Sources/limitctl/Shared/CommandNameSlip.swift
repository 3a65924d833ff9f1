// A mistyped command, told with the name that was probably meant and the usage at hand.
//
// ArgumentParser calls a command that it does not know an unexpected argument, and `help NOPE`
// prints the help of something else.

import ArgumentParser
import LimitConsole
import LimitPolicy

/// A word that stands where a command does, and is none.
struct CommandNameSlip {
  let word: String
  /// `limitctl`, `limitctl config`.
  let parent: String
  let commands: [String]
  /// Of the parent's usage.
  let usage: String

  /// The slip in a command line, if there is one. Options before a command are the root's, which
  /// has but one with a value.
  static func find(
    in arguments: [String], of root: any ParsableCommand.Type
  ) -> CommandNameSlip? {
    var rest = arguments[...]
    while let first = rest.first, first == "--socket" || first.hasPrefix("--socket=") {
      rest = rest.dropFirst(first == "--socket" ? 2 : 1)
    }
    if rest.first == "help" { rest = rest.dropFirst().filter { !$0.hasPrefix("-") }[...] }
    var command = root
    var path = root.name
    while let word = rest.first, !command.configuration.subcommands.isEmpty {
      // An option here is the command's; ArgumentParser knows best.
      if word.hasPrefix("-") { return nil }
      let subcommands = command.configuration.subcommands
      guard let next = subcommands.first(where: { $0.name == word }) else {
        return CommandNameSlip(
          word: word, parent: path, commands: subcommands.map { $0.name },
          usage: root.usageString(for: command))
      }
      command = next
      path += " \(word)"
      rest = rest.dropFirst()
    }
    return nil
  }

  /// What to tell: the slip, what was probably meant, and the usage at hand.
  var message: String {
    let advice =
      Suggestion.nearest(to: word, among: commands).map { "did you mean '\($0)'?" }
      ?? "it has \(commands.joined(separator: ", "))"
    return UsageText.wrapped(
      """
      Error: \(parent) has no command '\(visible(word))'; \(advice)
      Usage: \(usage)
        See '\(parent) --help' for more information.

      """)
  }
}

extension ParsableCommand {
  /// The command's name on the command line.
  fileprivate static var name: String { _commandName }
}
