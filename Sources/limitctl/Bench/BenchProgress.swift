// How far a bench is, for a person who waits; and the wish to end it early.

import Glibc
import LimitConsole
import Synchronization

/// A line on standard error, drawn at most ten times a second where that is a terminal.
struct BenchProgress {
  private static let interval: UInt64 = 100_000_000

  private let plan: BenchPlan
  private let isOn = isatty(STDERR_FILENO) == 1
  private var drawnAt: UInt64 = 0

  init(_ plan: BenchPlan) { self.plan = plan }

  /// - Parameter elapsed: since the first group that counts, in ns.
  mutating func show(_ outcome: BenchOutcome, elapsed: UInt64) {
    guard isOn, elapsed >= drawnAt + Self.interval else { return }
    drawnAt = elapsed
    try? StandardStream.error.write("\r\u{1B}[K" + Self.line(plan, outcome.decisions, elapsed))
  }

  mutating func clear() {
    if drawnAt > 0 { try? StandardStream.error.write("\r\u{1B}[K") }
    drawnAt = 0
  }

  /// `  2.3s of 5s  412,000 decisions, 179,130/s`
  static func line(_ plan: BenchPlan, _ decisions: UInt64, _ elapsed: UInt64) -> String {
    let far =
      plan.requests.map { "\(grouped(decisions)) of \(grouped($0)) decisions" }
      ?? "\(tenths(elapsed)) of \(durationText(plan.duration))  \(grouped(decisions)) decisions"
    let rate = UInt128(decisions) * 1_000_000_000 / UInt128(max(1, elapsed))
    return "  \(far), \(grouped(rate))/s"
  }

  private static func tenths(_ elapsed: UInt64) -> String {
    "\(elapsed / 1_000_000_000).\(elapsed / 100_000_000 % 10)s"
  }
}

/// Ctrl-C, taken as the wish to hear what was found so far. A second one ends the process.
enum Interruption {
  private static let flag = Atomic<Bool>(false)

  static var hasCome: Bool { flag.load(ordering: .relaxed) }

  static func watch() {
    // Made before a signal can come.
    flag.store(false, ordering: .relaxed)
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in Interruption.flag.store(true, ordering: .relaxed)
    }
    action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND))
    sigaction(SIGINT, &action, nil)
    Signals.unblock([SIGINT])
  }
}
