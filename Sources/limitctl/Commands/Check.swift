// `limitctl check` and `limitctl peek`: one query, as a service would ask it.

import ArgumentParser
import LimitClient
import LimitConsole

struct Check: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Asks the daemon whether a tenant may, and charges its limits.",
    discussion: """
      Prints the decision with the limit that decided. With the receipt it is corrected \
      or taken back: limitctl settle, limitctl refund.

      Exit codes: 0 allowed; 1 error; 2 denied; 3 the daemon cannot be reached; 64 usage.
      """
  )

  @OptionGroup var query: QueryOptions
  @OptionGroup var daemon: DaemonOptions

  func run() throws { try Ask.result(query, daemon, chargesLimits: true).finish() }
}

struct Peek: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Asks what check would say, and charges nothing.",
    discussion: """
      Exit codes: 0 would be allowed; 1 error; 2 would be denied; 3 the daemon cannot be reached; \
      64 usage.
      """
  )

  @OptionGroup var query: QueryOptions
  @OptionGroup var daemon: DaemonOptions

  func run() throws { try Ask.result(query, daemon, chargesLimits: false).finish() }
}

/// The two commands' work.
private enum Ask {
  static func result(_ query: QueryOptions, _ daemon: DaemonOptions, chargesLimits: Bool) throws
    -> CommandResult
  {
    let cost = try query.units()
    let client = BlockingLimitClient(try daemon.configuration)
    do throws(LimitClientError) {
      let decision =
        chargesLimits
        ? try client.check(tenant: query.tenant, policy: query.policy, key: query.key, cost: cost)
        : try client.peek(tenant: query.tenant, policy: query.policy, key: query.key, cost: cost)
      return DecisionReport(
        decision: decision, query: query, cost: cost, terminal: .standardOutput()
      ).result(asJSON: daemon.json)
    } catch {
      return DaemonExit.result(error, at: daemon.endpoint, policy: query.policy)
    }
  }
}
