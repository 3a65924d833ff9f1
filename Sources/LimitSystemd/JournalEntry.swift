// A log line as an entry of the journal: its metadata become fields, so that `journalctl
// TENANT_ID=acme` finds it.

import Glibc
package import Logging

/// Makes entries for a `JournalSocket`.
package enum JournalEntry {
  /// The metadata key that says which kind of event a line is: 32 hexadecimal digits, the journal's
  /// MESSAGE_ID. It is not part of the text.
  package static let messageID = "message-id"

  /// The fields of an entry. The text has the metadata too, for those who read it; the fields are for
  /// those who search.
  ///
  /// - Parameter identifier: the program, as journalctl shows it.
  package static func fields(
    of message: String, _ metadata: Logger.Metadata, _ level: Logger.Level, identifier: String
  ) -> [(name: String, value: String)] {
    let metadata = metadata.sorted { $0.key < $1.key }
    let text = metadata.filter { $0.key != messageID }.map { " \($0.key)=\($0.value)" }.joined()
    var fields = [
      ("MESSAGE", message + text), ("PRIORITY", "\(level.priority)"),
      ("SYSLOG_IDENTIFIER", identifier),
    ]
    for (key, value) in metadata {
      guard let name = JournalSocket.fieldName(key) else { continue }
      // What has a meaning of its own in the journal is not for metadata to say.
      guard !["MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER"].contains(name) else { continue }
      fields.append((name, "\(value)"))
    }
    return fields
  }

  /// Whether this process's standard error is the journal: systemd names the device and the inode of
  /// the stream that it reads (systemd.exec(5)).
  package static func isStandardError() -> Bool {
    guard let stream = getenv("JOURNAL_STREAM") else { return false }
    var status = stat()
    guard fstat(STDERR_FILENO, &status) == 0 else { return false }
    return String(cString: stream) == "\(status.st_dev):\(status.st_ino)"
  }
}

extension Logger.Level {
  /// syslog(3)'s number.
  package var priority: Int {
    switch self {
    case .trace, .debug: 7
    case .info: 6
    case .notice: 5
    case .warning: 4
    case .error: 3
    case .critical: 2
    }
  }
}
