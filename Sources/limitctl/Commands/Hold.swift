// `limitctl hold TENANT POLICY -- COMMAND…`: runs a command under a permit.

import ArgumentParser
import Glibc
import LimitClient
import LimitConsole
import LimitEngine
import LimitPolicy

struct Hold: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Runs a command while holding a permit of a tenant's concurrency limits.",
    discussion: """
      Takes a permit of the policy's concurrency limits (and charges its other limits), runs the \
      command, and releases the permit when it ends. If limitctl is killed, the daemon takes the \
      permit back at once, and the kernel kills the command. If the daemon ends, the permit is lost: \
      that is told, and the command goes on.

      Ends with the command's exit code, or 128 and the signal that ended it; 2, or what \
      --denied-exit says, where no permit was given, and the command was not run; 3 where the \
      daemon cannot be reached; 126 or 127 where the command cannot be run.
      """
  )

  @OptionGroup var query: QueryOptions

  @Option(
    help: ArgumentHelp(
      "Ask again for up to this long where a limit denies.", valueName: "duration"))
  var wait = "0"

  @Option(
    name: [.customShort("E"), .long],
    help: ArgumentHelp("The exit code where no permit was given, 0 to 255.", valueName: "code"))
  var deniedExit: Int32 = DaemonExit.denied

  @OptionGroup var daemon: DaemonOptions

  @Argument(
    parsing: .postTerminator, help: "The command and its arguments, behind --.",
    completion: .custom { arguments, _, prefix in
      CommandNames.completions(arguments, prefix: prefix)
    })
  var command: [String]

  func validate() throws {
    if command.isEmpty { throw ValidationError("a command is needed, behind --.") }
    _ = try waitDuration()
    guard (0...255).contains(deniedExit) else {
      throw ValidationError("--denied-exit is a number from 0 to 255.")
    }
  }

  func run() throws {
    let cost = try query.units()
    let client = BlockingLimitClient(try daemon.configuration)
    let deadline = ContinuousClock.now + (try waitDuration())
    var result = CommandResult()
    do throws(LimitClientError) {
      let acquisition = try acquire(client, cost: cost, until: deadline)
      if acquisition.decision.isAllowed {
        if acquisition.permit == nil {
          StandardStream.tell("the policy has no concurrency limit, so nothing is held")
        }
        result.exitCode = run(under: acquisition.permit)
        acquisition.permit?.release()
      } else {
        result = DecisionReport(decision: acquisition.decision, query: query, cost: cost)
          .result(asJSON: daemon.json)
        (result.errors, result.output) = (result.output, "")
        result.exitCode = deniedExit
      }
    } catch {
      result = DaemonExit.result(error, at: daemon.endpoint, policy: query.policy)
    }
    try result.finish()
  }

  /// Runs the command, and tells once where the permit is lost meanwhile.
  private func run(under permit: LimitPermit?) -> Int32 {
    var isTold = false
    func look(_ outlook: String) {
      guard let permit, !isTold, !permit.isHeld else { return }
      isTold = true
      StandardStream.tell(
        "limitd has ended, and with it the permit: others may have it; \(outlook)")
    }
    let code = ChildProcess.run(command) { look("the command goes on") }
    look("the command has ended since")
    return code
  }

  /// Asks until a limit admits, the time is up, or waiting cannot help.
  private func acquire(
    _ client: BlockingLimitClient, cost: UInt64, until deadline: ContinuousClock.Instant
  ) throws(LimitClientError) -> LimitAcquisition {
    while true {
      let acquisition = try client.acquire(
        tenant: query.tenant, policy: query.policy, key: query.key, cost: cost)
      let left = (deadline - .now).nanoseconds
      guard acquisition.decision.outcome == .deny, acquisition.decision.reason == .limit, left > 0
      else { return acquisition }
      // As long as the reply says. Of a permit nobody knows when it returns: ask again soon, but
      // not all the time.
      let told = acquisition.decision.retryAfterNanoseconds ?? 50_000_000
      let pause = min(told, UInt64(left))
      poll(nil, 0, Int32(clamping: (pause + 999_999) / 1_000_000))
    }
  }

  private func waitDuration() throws -> Duration {
    if wait == "0" { return .zero }
    do throws(QuantityError) {
      return .nanoseconds(Int64(clamping: try Quantity.duration(wait).count))
    } catch {
      throw ValidationError("--wait: \(error.message).")
    }
  }
}
