// `limitctl snapshot list`: the generations in a state directory.

import ArgumentParser
import LimitConsole
import LimitStore

struct SnapshotList: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "Lists the snapshots of a state directory.",
    discussion: """
      Reads each from its first byte to its last. The daemon restores the newest that is whole.

      Exit codes: 0 there is one that is whole; 1 there is none.
      """
  )

  @Option(
    help: ArgumentHelp("The daemon's state directory.", valueName: "dir"),
    completion: .directory)
  var stateDir = "/var/lib/limitd"

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws { try Self.list(SnapshotDirectory(stateDir), asJSON: json).finish() }

  static func list(_ directory: SnapshotDirectory, asJSON: Bool = false) -> CommandResult {
    let snapshots = directory.generations.map { Snapshot.Reading($0) }
    let exitCode: Int32 = snapshots.contains { $0.isWhole } ? 0 : 1
    if asJSON { return Snapshot.document(of: snapshots, exitCode: exitCode) }
    return Snapshot.lines(of: snapshots, exitCode: exitCode) { contents in
      "number \(contents.info.sequence), \(Snapshot.date(contents.info)), "
        + counted(contents.bucketCount, "bucket")
    }
  }
}
