// `limitctl snapshot save`: has the daemon write a snapshot now.

import ArgumentParser
import LimitAdminModel
import LimitConsole

struct SnapshotSave: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "save",
    abstract: "Has the daemon write a snapshot now.",
    discussion: """
      Returns when it is on the disk. No decision waits for it.

      Exit codes: 0 done; 1 it could not be written; 3 the daemon cannot be reached; 64 usage.
      """
  )

  @OptionGroup var admin: AdminOptions

  func run() throws {
    try admin.run { client, _ throws(AdminError) in
      admin.result(try client.post(SnapshotAnswer.self, "/v1/snapshot")) { answer in
        [
          "\(counted(answer.buckets, "bucket")), \(AdminText.bytes(answer.bytes)), in "
            + "\(AdminText.duration(seconds: answer.tookSeconds)) to \(answer.directory)"
        ]
      }
    }
  }
}
