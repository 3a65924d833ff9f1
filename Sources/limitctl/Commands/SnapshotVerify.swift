// `limitctl snapshot verify FILE…`: whether snapshots are whole.

import ArgumentParser
import LimitConsole
import LimitStore

struct SnapshotVerify: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Reads snapshots from their first byte to their last.",
    discussion: """
      Says what is wrong with each file on standard error. Whether a file belongs to an installation \
      is known to its daemon alone, which has the hash key.

      Exit codes: 0 all are whole; 1 one is not.
      """
  )

  @Argument(help: "Snapshots.", completion: .file())
  var files: [String]

  func run() throws { try Self.verify(files).finish() }

  static func verify(_ files: [String]) -> CommandResult {
    var result = CommandResult()
    for path in files {
      do throws(SnapshotError) {
        let contents = try SnapshotContents(reading: path)
        result.output += "\(path): good, \(counted(contents.bucketCount, "bucket"))\n"
      } catch {
        result.errors += "\(path): \(error)\n"
        result.exitCode = 1
      }
    }
    return result
  }
}
