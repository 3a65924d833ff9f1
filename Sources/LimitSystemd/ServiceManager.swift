// What a service tells the service manager that started it. Any thread; nothing waits.

import CSystemd

/// One thing to tell (sd_notify(3)). Several go in one message, and so arrive together.
package enum ServiceNotice: Hashable, Sendable {
  /// It serves, or serves again after a reload.
  case ready
  /// It has begun to reload, at this reading of CLOCK_MONOTONIC in microseconds.
  case reloading(monotonicMicroseconds: UInt64)
  /// It has begun to end.
  case stopping
  /// How it does, in one line for people.
  case status(String)
  /// It lives: to be said at least every `ServiceManager.watchdogMicroseconds`.
  case alive
  /// What it does now may take this long from now, in microseconds, before the manager worries.
  case extendTimeout(microseconds: UInt64)

  /// The assignment of sd_notify(3).
  var assignment: String {
    switch self {
    case .ready: "READY=1"
    case .reloading(let time): "RELOADING=1\nMONOTONIC_USEC=\(time)"
    case .stopping: "STOPPING=1"
    case .status(let text): "STATUS=\(Self.line(text))"
    case .alive: "WATCHDOG=1"
    case .extendTimeout(let time): "EXTEND_TIMEOUT_USEC=\(time)"
    }
  }

  /// A text without line ends, which would begin another assignment.
  private static func line(_ text: String) -> String {
    String(text.map { $0.isNewline ? " " : $0 })
  }
}

/// The manager of this process, where it has one.
package enum ServiceManager {
  /// Tells it.
  ///
  /// - Returns: whether somebody listens.
  @discardableResult
  package static func tell(_ notices: ServiceNotice...) -> Bool {
    sd_notify(0, notices.map(\.assignment).joined(separator: "\n")) > 0
  }

  /// How often it wants a sign of life, in microseconds; `nil`: never.
  package static func watchdogMicroseconds() -> UInt64? {
    var time: UInt64 = 0
    return sd_watchdog_enabled(0, &time) > 0 ? time : nil
  }
}
