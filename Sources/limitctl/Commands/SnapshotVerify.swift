// `limitctl snapshot verify FILE…`: whether snapshots are whole.

import ArgumentParser
import LimitConsole
import LimitStore

struct SnapshotVerify: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Reads snapshots from their first byte to their last.",
    discussion: """
      Says what is wrong with each file on standard error, with --json in the document. Whether a file belongs to an installation \
      is known to its daemon alone, which has the hash key.

      Exit codes: 0 all are whole; 1 one is not.
      """
  )

  @Argument(help: "Snapshots.", completion: .file())
  var files: [String]

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws { try Self.verify(files, asJSON: json).finish() }

  static func verify(_ files: [String], asJSON: Bool = false) -> CommandResult {
    let snapshots = files.map { Snapshot.Reading($0) }
    let exitCode: Int32 = snapshots.allSatisfy { $0.isWhole } ? 0 : 1
    if asJSON { return Snapshot.document(of: snapshots, exitCode: exitCode) }
    return Snapshot.lines(of: snapshots, exitCode: exitCode) { contents in
      "good, \(counted(contents.bucketCount, "bucket"))"
    }
  }
}
