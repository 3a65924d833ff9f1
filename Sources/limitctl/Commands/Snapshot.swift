// `limitctl snapshot`: looking at snapshots, without a daemon, and having one written.

import ArgumentParser
import LimitConsole
import LimitStore

struct Snapshot: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Looks at the snapshots that a daemon restores from, or has one written.",
    subcommands: [
      SnapshotList.self, SnapshotInfoCommand.self, SnapshotVerify.self, SnapshotSave.self,
    ]
  )

  /// When a snapshot was begun, by the wall clock.
  static func date(_ info: SnapshotInfo) -> String { CalendarTime(info.clocks.wall).rfc3339 }
}
