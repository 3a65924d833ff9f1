// Events as log lines: in the journal with fields to search by, `journalctl TENANT_ID=acme`. Any thread.

import LimitEngine
import LimitRuntime
import LimitSystemd
import Logging

enum EventLines {
  /// Writes an event's line, unless what it tells of has a line of its own.
  static func write(_ event: Event, _ log: Logger) {
    let (message, level): (Logger.Message, Logger.Level)
    switch event.kind {
    case .softThreshold: (message, level) = ("a tenant is past a soft threshold", .info)
    case .denialStarted: (message, level) = ("a tenant is denied", .notice)
    case .denialStopped: (message, level) = ("a tenant is denied no more", .info)
    case .tenantChanged: (message, level) = ("a tenant has changed", .info)
    case .limitChanged: (message, level) = ("a limit has changed", .info)
    case .reloaded, .reloadFailed, .snapshotFailed: return
    }
    var fields: Logger.Metadata = [:]
    // Keys are not written: they may be people's, and who reads the journal need not know them.
    for (name, value) in [
      ("tenant-id", event.tenant?.name), ("limit", event.limit), ("policy", event.policy),
      ("reason", event.reason.map { "\($0)" }), ("action", event.action), ("by", event.author),
      ("from", event.before), ("to", event.after), ("detail", event.detail),
      ("seconds", event.duration.map { "\(Double($0.count / 1_000_000) / 1000)" }),
    ] {
      if let value { fields[name] = "\(value)" }
    }
    if event.suppressedCount > 0 { fields["events-suppressed"] = "\(event.suppressedCount)" }
    log.log(level: level, message, metadata: metadata((event.kind, event.id), and: fields))
  }

  /// The metadata of a line that tells of an event.
  ///
  /// - Parameter event: with its number, if it is kept.
  static func metadata(
    _ event: (kind: Event.Kind, id: UInt64?), and others: Logger.Metadata
  ) -> Logger.Metadata {
    var all = others
    all[JournalEntry.messageID] = "\(messageID(of: event.kind))"
    if let id = event.id { all["event-id"] = "\(id)" }
    return all
  }

  /// The journal's MESSAGE_ID: constants, which docs/ADMIN.md lists.
  private static func messageID(of kind: Event.Kind) -> String {
    switch kind {
    case .softThreshold: "2f0a45eb6d184ac4b702cb1bb82d004b"
    case .denialStarted: "1a881c028d7a498da30aed9b0b6357e4"
    case .denialStopped: "9bb057e1284740fe897c7ebb1c7a9c60"
    case .tenantChanged: "7e7092693210445e800d47af7f17acff"
    case .limitChanged: "5a5d1480d6e8451b9180091ce7a701c3"
    case .reloaded: "acfa7c67cd4b4dbca76b1f850447ffdc"
    case .reloadFailed: "be0325a1c1ef4d38b92582530b24f070"
    case .snapshotFailed: "6df082be87254530814dab47676f27f3"
    }
  }
}
