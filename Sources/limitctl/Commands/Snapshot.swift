// `limitctl snapshot`: what can be said about snapshots without a daemon.

import ArgumentParser
import LimitConsole
import LimitStore

struct Snapshot: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Looks at the snapshots that a daemon restores from.",
    subcommands: [SnapshotList.self, SnapshotInfoCommand.self, SnapshotVerify.self]
  )

  /// When a snapshot was begun, by the wall clock.
  static func date(_ info: SnapshotInfo) -> String { CalendarTime(info.clocks.wall).rfc3339 }
}
