// Log lines in the journal, with fields to search for, where systemd reads standard error into it.

import LimitPolicy
import LimitSystem
import LimitSystemd
import Logging

/// A log handler that sends entries to journald itself. Nobody waits for it; entries that journald
/// does not take are counted, and the count is told with the next one.
struct JournalLog: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level
  private let journal: JournalSocket
  private let throttle: LogThrottle

  /// `nil` where standard error is not the journal, or journald cannot be reached.
  ///
  /// - Parameter throttle: shared by the handlers of a process.
  init?(level: DaemonSettings.LogLevel, _ throttle: LogThrottle) {
    guard JournalEntry.isStandardError(), let journal = try? JournalSocket(), journal.isReachable
    else { return nil }
    self.journal = journal
    self.throttle = throttle
    logLevel = Logger.Level(rawValue: level.rawValue) ?? .info
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let message = "\(event.message)"
    guard let suppressed = throttle.admit(message, at: Clock.bootNanoseconds()) else { return }
    var all = metadata.merging(event.metadata ?? [:]) { _, new in new }
    if suppressed > 0 { all["suppressed"] = "\(suppressed)" }
    let lost = journal.takeLostCount()
    if lost > 0 { all["lost"] = "\(lost)" }
    journal.send(JournalEntry.fields(of: message, all, event.level, identifier: "limitd"))
  }
}
