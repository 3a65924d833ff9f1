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

  func run() throws { try Self.list(SnapshotDirectory(stateDir)).finish() }

  static func list(_ directory: SnapshotDirectory) -> CommandResult {
    var result = CommandResult(exitCode: 1)
    for path in directory.generations {
      do throws(SnapshotError) {
        let contents = try SnapshotContents(reading: path)
        result.output +=
          "\(path): number \(contents.info.sequence), \(Snapshot.date(contents.info)), "
          + "\(counted(contents.bucketCount, "bucket"))\n"
        result.exitCode = 0
      } catch {
        result.errors += "\(path): \(error)\n"
      }
    }
    return result
  }
}
