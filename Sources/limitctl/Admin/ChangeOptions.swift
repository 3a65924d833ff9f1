// What the commands that change something at run time have in common: what they show, and how they ask
// first. One thread.

import ArgumentParser
import Glibc
import LimitAdminModel
import LimitConsole

/// Options of changes.
struct ChangeOptions: ParsableArguments {
  @Flag(help: "Only show what would change.")
  var dryRun = false

  @OptionGroup var admin: AdminOptions

  /// Makes a change, and shows it.
  ///
  /// - Parameter ask: makes it, or, given `true`, only says what it would do.
  func run(
    _ ask: (AdminClient, Bool) throws(AdminError) -> (value: ChangeAnswer, text: String)
  ) throws {
    try admin.run { client, terminal throws(AdminError) in
      admin.result(try ask(client, dryRun)) { Self.lines($0, terminal) }
    }
  }

  static func lines(_ answer: ChangeAnswer, _ terminal: Terminal) -> [String] {
    var lines = AdminText.differences(answer.differences, of: answer.differenceCount, terminal)
    lines += answer.notes.map { "note: \(visible($0))" }
    lines.append(
      answer.differenceCount == 0
        ? "it is so already" : answer.isInForce ? "in force" : "nothing is changed")
    return lines
  }
}

/// Options of changes that may hurt, which are shown and asked about first.
struct HurtingChangeOptions: ParsableArguments {
  @Flag(help: "Do not ask first.")
  var yes = false

  @OptionGroup var change: ChangeOptions

  /// Shows what a change would do, asks, and makes it.
  ///
  /// - Parameters:
  ///   - question: what is asked, without its mark: "Block acme".
  ///   - ask: makes it, or, given `true`, only says what it would do.
  func run(
    _ question: String,
    _ ask: (AdminClient, Bool) throws(AdminError) -> (value: ChangeAnswer, text: String)
  ) throws {
    guard !yes, !change.dryRun else { return try change.run(ask) }
    try Confirmation.requireSomebody()
    let admin = change.admin
    try admin.run { client, terminal throws(AdminError) in
      let planned = try ask(client, true).value
      let lines = AdminText.differences(planned.differences, of: planned.differenceCount, terminal)
      guard Confirmation.isGiven(to: question, after: lines) else { return Confirmation.refused }
      return admin.result(try ask(client, false)) { ChangeOptions.lines($0, terminal) }
    }
  }
}

/// A question to the person at the terminal.
enum Confirmation {
  /// - Throws: where nobody is at a terminal to be asked.
  static func requireSomebody() throws {
    guard isatty(STDIN_FILENO) == 1 else {
      throw ValidationError("This asks first, and nobody is there to answer; say --yes.")
    }
  }

  /// Asks. Anything but yes is no.
  ///
  /// - Parameter lines: shown before.
  static func isGiven(to question: String, after lines: [String] = []) -> Bool {
    try? StandardStream.error.write(
      lines.map { "\($0)\n" }.joined() + "\(visible(question))? [y/N] ")
    return ["y", "yes"].contains(readLine()?.lowercased() ?? "")
  }

  static let refused = CommandResult(errors: "nothing is changed\n", exitCode: DaemonExit.error)
}
