// What every command that talks to the daemon has in common.

import ArgumentParser
import LimitClient
import LimitConsole
import LimitEngine
import LimitPolicy

/// Where the daemon is, how long to wait for it, and how to print.
struct DaemonOptions: ParsableArguments {
  @OptionGroup var endpoint: EndpointOptions

  @Option(
    help: ArgumentHelp("How long to wait for an answer, such as 250ms.", valueName: "duration"))
  var timeout = "1s"

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    _ = try timeoutDuration()
  }

  var configuration: ClientConfiguration {
    get throws {
      let timeout = try timeoutDuration()
      return ClientConfiguration(
        socketPath: endpoint.socket, clientName: "limitctl", connectTimeout: timeout,
        callTimeout: timeout)
    }
  }

  private func timeoutDuration() throws -> Duration {
    do throws(QuantityError) {
      return .nanoseconds(Int64(clamping: try Quantity.duration(timeout).count))
    } catch {
      throw ValidationError("--timeout: \(error.message).")
    }
  }
}

/// Whom a query is for and what it costs.
struct QueryOptions: ParsableArguments {
  @Argument(
    help: "The tenant.",
    completion: .tenants)
  var tenant: String

  @Argument(
    help: "The policy to decide by.",
    completion: .policies)
  var policy: String

  @Option(help: "The key within the tenant, such as a user or a route.")
  var key = ""

  @Option(help: ArgumentHelp("Units to ask for; 10k and 2M are understood.", valueName: "units"))
  var cost = "1"

  func validate() throws { _ = try units() }

  func units() throws -> UInt64 {
    if cost == "0" { return 0 }
    do throws(QuantityError) {
      return try Quantity.count(cost)
    } catch {
      throw ValidationError("--cost: \(error.message).")
    }
  }
}

/// How a command that talks to the daemon ends; the codes are part of its interface.
enum DaemonExit {
  static let error: Int32 = 1
  static let denied: Int32 = 2
  static let unreachable: Int32 = 3

  static func code(for error: LimitClientError) -> Int32 { error.isAway ? unreachable : Self.error }

  /// What a call that failed comes to, with the next step.
  ///
  /// - Parameters:
  ///   - endpoint: where the daemon was asked.
  ///   - policy: that was asked for.
  static func result(
    _ error: LimitClientError, at endpoint: EndpointOptions, policy: String? = nil
  ) -> CommandResult {
    let advice = advice(on: error, at: endpoint, policy: policy).map { "; \($0)" } ?? ""
    return CommandResult(errors: "limitctl: \(error)\(advice)\n", exitCode: code(for: error))
  }

  private static func advice(
    on error: LimitClientError, at endpoint: EndpointOptions, policy: String?
  ) -> String? {
    let socket = ClientConfiguration(socketPath: endpoint.socket).socketPath
    if let code = error.daemonError {
      return DaemonAdvice.refused(
        code, policy: policy, knownPolicies: PolicyNames.policies(for: ["--socket", socket]))
    }
    guard error.code == .unreachable else { return nil }
    return DaemonAdvice.unreachable(socket: socket, systemError: error.systemError)
  }
}
