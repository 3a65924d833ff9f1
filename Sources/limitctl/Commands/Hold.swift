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
      permit back at once.

      Ends with the command's exit code, or 128 and the signal that ended it; 2 where no permit \
      was given, and the command was not run; 3 where the daemon cannot be reached; 126 or 127 \
      where the command cannot be run.
      """
  )

  @OptionGroup var query: QueryOptions

  @Option(
    help: ArgumentHelp(
      "Ask again for up to this long where a limit denies.", valueName: "duration"))
  var wait = "0"

  @OptionGroup var daemon: DaemonOptions

  @Argument(parsing: .postTerminator, help: "The command and its arguments, behind --.")
  var command: [String]

  func validate() throws {
    if command.isEmpty { throw ValidationError("a command is needed, behind --.") }
    _ = try waitDuration()
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
        result.exitCode = ChildProcess.run(command)
        acquisition.permit?.release()
      } else {
        result = DecisionReport(decision: acquisition.decision, query: query, cost: cost)
          .result(asJSON: daemon.json)
        (result.errors, result.output) = (result.output, "")
      }
    } catch {
      result = DaemonExit.result(error)
    }
    try result.finish()
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
      // Of a permit nobody knows when it returns: ask again soon, but not all the time.
      let told = acquisition.decision.retryAfterNanoseconds ?? 50_000_000
      let pause = min(told, 1_000_000_000, UInt64(left))
      usleep(UInt32(pause / 1000 + 1))
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

/// A command in the foreground.
enum ChildProcess {
  /// Runs a command with this process's streams, and waits for it. Hands SIGTERM and SIGHUP on;
  /// what a terminal sends (SIGINT, SIGQUIT) reaches the command by itself.
  ///
  /// - Returns: as a shell would: the exit code, 128 and the signal, 126 or 127.
  static func run(_ command: [String]) -> Int32 {
    var taken = sigset_t()
    var before = sigset_t()
    sigemptyset(&taken)
    for signal in [SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT] { sigaddset(&taken, signal) }
    pthread_sigmask(SIG_BLOCK, &taken, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    guard let child = spawn(command, mask: &before) else {
      let code: Int32 = errno == ENOENT ? 127 : 126
      StandardStream.tell("\(command[0]): \(systemError(errno))")
      return code
    }
    while true {
      var status: Int32 = 0
      if waitpid(child, &status, WNOHANG) == child { return code(of: status) }
      var signal: Int32 = 0
      sigwait(&taken, &signal)
      if signal == SIGTERM || signal == SIGHUP { kill(child, signal) }
    }
  }

  /// Starts the command with the signal mask that this process had. Sets errno on failure.
  private static func spawn(_ command: [String], mask: inout sigset_t) -> pid_t? {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setsigmask(&attributes, &mask)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
    var arguments = command.map { strdup($0) }
    defer { for argument in arguments { free(argument) } }
    arguments.append(nil)
    var child = pid_t()
    let failure = posix_spawnp(&child, command[0], nil, &attributes, &arguments, environ)
    if failure != 0 {
      errno = failure
      return nil
    }
    return child
  }

  private static func code(of status: Int32) -> Int32 {
    let signal = status & 0x7F
    return signal == 0 ? status >> 8 & 0xFF : 128 + signal
  }
}
