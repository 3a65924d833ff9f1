// Log lines on standard error, for journald or for a person.

import Glibc
import LimitEngine
import LimitPolicy
import LimitSystem
import LimitSystemd
import Logging

/// A log handler: lines go to a queue, and lines of one kind only so often, so that logging costs
/// nobody any time. What varies stands in metadata; the message alone is the kind.
///
/// Where standard error is the journal (and `JournalLog` cannot reach it), lines begin with the level
/// as sd-daemon(3) has it (`<3>`); elsewhere with the time and the level's name.
struct StandardErrorLog: LogHandler {
  var metadata: Logger.Metadata = [:]
  var logLevel: Logger.Level
  private let isJournal: Bool
  private let throttle: LogThrottle

  /// - Parameter throttle: shared by the handlers of a process.
  init(level: DaemonSettings.LogLevel, _ throttle: LogThrottle) {
    self.throttle = throttle
    logLevel = Logger.Level(rawValue: level.rawValue) ?? .info
    isJournal = JournalEntry.isStandardError()
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
    let fields = all.filter { $0.key != JournalEntry.messageID }.sorted { $0.key < $1.key }.map {
      " \($0)=\(Self.shown($1))"
    }.joined()
    let start = isJournal ? "<\(event.level.priority)>" : "\(Self.time()) \(event.level.rawValue): "
    LogQueue.standardError.add("\(start)\(Self.escaped(message))\(fields)\n")
  }

  /// A value as it stands in a line: in quotes where it has spaces.
  private static func shown(_ value: Logger.Metadata.Value) -> String {
    let text = escaped("\(value)")
    return text.contains(" ") ? "\"\(text)\"" : text
  }

  /// Without what could begin another line or move a terminal's cursor.
  private static func escaped(_ text: String) -> String {
    guard text.unicodeScalars.contains(where: \.isInvisibleControl) else { return text }
    return text.unicodeScalars.map {
      $0.isInvisibleControl ? $0.escaped(asASCII: true) : String($0)
    }
    .joined()
  }

  /// UTC, to the millisecond.
  private static func time() -> String {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    var parts = tm()
    gmtime_r(&now.tv_sec, &parts)
    func padded(_ number: Int32, _ width: Int = 2) -> String {
      let text = String(number)
      return String(repeating: "0", count: max(0, width - text.count)) + text
    }
    let date = "\(parts.tm_year + 1900)-\(padded(parts.tm_mon + 1))-\(padded(parts.tm_mday))"
    let time = "\(padded(parts.tm_hour)):\(padded(parts.tm_min)):\(padded(parts.tm_sec))"
    return "\(date)T\(time).\(padded(Int32(now.tv_nsec / 1_000_000), 3))Z"
  }
}
