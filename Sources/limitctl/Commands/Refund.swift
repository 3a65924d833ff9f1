// `limitctl refund RECEIPT`: takes a check back.

import ArgumentParser
import LimitClient
import LimitConsole
import LimitPolicy

struct Refund: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Gives back what a check took.",
    discussion: """
      The receipt is what check printed; use it once. With --units less than the whole is given \
      back: what an estimate was too high by.

      Exit codes: 0 given back; 1 error; 3 the daemon cannot be reached; 64 usage.
      """
  )

  @Argument(help: "The receipt of a check.")
  var receipt: String

  @Option(help: ArgumentHelp("Units to give back. Default: all of them.", valueName: "units"))
  var units: String?

  @OptionGroup var daemon: DaemonOptions

  func validate() throws {
    _ = try parsedReceipt()
    _ = try units.map(Self.count)
  }

  func run() throws {
    let receipt = try parsedReceipt()
    let units = try self.units.map(Self.count)
    let client = BlockingLimitClient(try daemon.configuration)
    var result = CommandResult()
    do throws(LimitClientError) {
      let cost = receipt.query.cost
      guard units ?? 0 <= cost else {
        throw LimitClientError.invalidArgument(
          "the query cost \(cost), which is less than \(units ?? 0)")
      }
      try client.settle(receipt, actual: cost - (units ?? cost))
      result.output =
        daemon.json ? "{\"format\": \"limitctl-refund/1\", \"refunded\": true}\n" : "refunded\n"
    } catch {
      result = DaemonExit.result(error, at: daemon.endpoint)
    }
    try result.finish()
  }

  private func parsedReceipt() throws -> LimitReceipt {
    guard let receipt = LimitReceipt(text: receipt) else {
      throw ValidationError("that is no receipt; copy the whole of what check printed.")
    }
    return receipt
  }

  private static func count(_ text: String) throws -> UInt64 {
    do throws(QuantityError) {
      return try Quantity.count(text)
    } catch {
      throw ValidationError("--units: \(error.message).")
    }
  }
}
