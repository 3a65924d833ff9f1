// `limitctl bench`: a load generator that says honestly how fast the daemon is.

import ArgumentParser
import Glibc
import LimitConsole
import LimitEngine
import LimitPolicy

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures how fast the daemon decides.",
    discussion: """
      Each connection sends a group of --pipeline checks in one write and waits for all of their \
      replies. Without --rate the next group follows at once. With --rate groups are due at fixed \
      times, and latency counts from when a group was due, also where it could not be sent yet: a \
      daemon that stalls is charged for the requests that it kept from being sent (no coordinated \
      omission). A first tenth of the run, at most a second, is not counted.

      The queries are real: they charge the tenants bench-0, bench-1, … under the policy.

      Ctrl-C ends the run, with the results so far, if anything was counted, and exit code 130.

      Exit codes: 0 done; 1 error; 3 the daemon cannot be reached; 64 usage.
      """
  )

  @Option(help: ArgumentHelp("Connections, 1 to 10000.", valueName: "c"))
  var connections = 1

  @Option(help: ArgumentHelp("Checks per write, 1 to 4096.", valueName: "p"))
  var pipeline = 1

  @Flag(help: "Send each group as one batch frame instead of single checks.")
  var batch = false

  @Option(help: ArgumentHelp("How long to run. Default: 5s.", valueName: "duration"))
  var duration: String?

  @Option(help: ArgumentHelp("How many checks to send, instead of --duration.", valueName: "n"))
  var requests: String?

  @Option(help: ArgumentHelp("Keys per tenant, visited at random.", valueName: "k"))
  var keys = "10k"

  @Option(help: ArgumentHelp("Tenants, 1 to 65535.", valueName: "t"))
  var tenants = 1

  @Option(
    help: ArgumentHelp("The policy to decide by.", valueName: "name"),
    completion: .policies)
  var policy = "gateway"

  @Option(help: ArgumentHelp("Checks per second in all. Default: as many as go.", valueName: "r"))
  var rate: String?

  @OptionGroup var daemon: DaemonOptions

  func validate() throws { _ = try plan() }

  func run() throws {
    let plan = try plan()
    let configuration = try daemon.configuration
    var result = CommandResult()
    do throws(BenchError) {
      var run = try BenchRun(plan, configuration)
      Interruption.watch()
      let outcome = try run.run()
      result.output = daemon.json ? outcome.json : outcome.text(Terminal.standardOutput())
      if outcome.isInterrupted { result.exitCode = 128 + SIGINT }
    } catch {
      result = error.result(at: daemon.endpoint, policy: policy)
    }
    try result.finish()
  }

  /// Checks what the options mean. Anything wrong is a usage error.
  private func plan() throws -> BenchPlan {
    guard (1...10_000).contains(connections) else {
      throw ValidationError("--connections is a number from 1 to 10000.")
    }
    guard (1...4096).contains(pipeline) else {
      throw ValidationError("--pipeline is a number from 1 to 4096.")
    }
    guard (1...65_535).contains(tenants) else {
      throw ValidationError("--tenants is a number from 1 to 65535.")
    }
    guard (1...64).contains(policy.utf8.count) else {
      throw ValidationError("--policy is a name of 1 to 64 bytes.")
    }
    if duration != nil, requests != nil {
      throw ValidationError("--duration and --requests exclude each other.")
    }
    var plan = BenchPlan(
      connections: connections, pipeline: pipeline, isBatch: batch,
      keys: try Self.count("--keys", keys), tenants: tenants, policy: policy)
    plan.requests = try requests.map { try Self.count("--requests", $0) }
    plan.rate = try rate.map { try Self.count("--rate", $0) }
    if let rate = plan.rate, rate > 1_000_000_000 {
      throw ValidationError("--rate is at most a thousand million per second.")
    }
    do throws(QuantityError) {
      if let duration { plan.duration = try Quantity.duration(duration).count }
    } catch {
      throw ValidationError("--duration: \(error.message).")
    }
    return plan
  }

  private static func count(_ name: String, _ text: String) throws -> UInt64 {
    do throws(QuantityError) {
      return try Quantity.count(text)
    } catch {
      throw ValidationError("\(name): \(error.message).")
    }
  }
}

/// What a bench is to do.
struct BenchPlan: Equatable {
  var connections = 1
  /// Checks per write.
  var pipeline = 1
  /// Whether a write is one batch frame.
  var isBatch = false
  var keys: UInt64 = 10_000
  var tenants = 1
  var policy = "gateway"
  /// In ns; of no meaning where `requests` is set.
  var duration: UInt64 = 5_000_000_000
  var requests: UInt64?
  /// Checks per second.
  var rate: UInt64?
}
