// `limitctl settle RECEIPT UNITS` and `limitctl refund RECEIPT`: correct what a check took.

import ArgumentParser
import LimitClient
import LimitConsole
import LimitPolicy

struct Settle: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Says what a check really took.",
    discussion: """
      The receipt is what check printed; use it once. What was used less is given back; what was \
      used more is booked, whether or not it fits, and later queries wait for it.

      Exit codes: 0 settled; 1 error; 3 the daemon cannot be reached; 64 usage.
      """
  )

  @Argument(help: "The receipt of a check.")
  var receipt: String

  @Argument(help: ArgumentHelp("Units really used.", valueName: "units"))
  var actual: String

  @OptionGroup var daemon: DaemonOptions

  func validate() throws {
    _ = try Settling.receipt(receipt)
    _ = try Settling.count(actual, named: "UNITS")
  }

  func run() throws {
    let units = try Settling.count(actual, named: "UNITS")
    try Settling(receipt: Settling.receipt(receipt), actual: units, word: "settle", past: "settled")
      .result(daemon).finish()
  }
}

struct Refund: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Gives back what a check took.",
    discussion: """
      The receipt is what check printed; use it once. With --units less than the whole is given \
      back: what an estimate was too high by. settle is told what was used instead.

      Exit codes: 0 given back; 1 error; 3 the daemon cannot be reached; 64 usage.
      """
  )

  @Argument(help: "The receipt of a check.")
  var receipt: String

  @Option(help: ArgumentHelp("Units to give back. Default: all of them.", valueName: "units"))
  var units: String?

  @OptionGroup var daemon: DaemonOptions

  func validate() throws {
    let cost = try Settling.receipt(receipt).query.cost
    guard let units = try units.map({ try Settling.count($0, named: "--units") }), units > cost
    else { return }
    throw ValidationError("--units: the query cost \(cost), which is less than \(units).")
  }

  func run() throws {
    let receipt = try Settling.receipt(receipt)
    let cost = receipt.query.cost
    let units = try units.map { try Settling.count($0, named: "--units") } ?? cost
    try Settling(receipt: receipt, actual: cost - units, word: "refund", past: "refunded")
      .result(daemon).finish()
  }
}

/// The two commands' work.
private struct Settling {
  var receipt: LimitReceipt
  /// Units.
  var actual: UInt64
  /// The command, and what it then has done.
  var word: String
  var past: String

  func result(_ daemon: DaemonOptions) throws -> CommandResult {
    let client = BlockingLimitClient(try daemon.configuration)
    var result = CommandResult()
    do throws(LimitClientError) {
      try client.settle(receipt, actual: actual)
      result.output =
        daemon.json ? "{\"format\": \"limitctl-\(word)/1\", \"\(past)\": true}\n" : "\(past)\n"
    } catch {
      result = DaemonExit.result(error, at: daemon.endpoint)
    }
    return result
  }

  static func receipt(_ text: String) throws -> LimitReceipt {
    guard let receipt = LimitReceipt(text: text) else {
      throw ValidationError("that is no receipt; copy the whole of what check printed.")
    }
    return receipt
  }

  static func count(_ text: String, named name: String) throws -> UInt64 {
    do throws(QuantityError) {
      return try Quantity.count(text)
    } catch {
      throw ValidationError("\(name): \(error.message).")
    }
  }
}
