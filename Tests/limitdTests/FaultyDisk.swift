// A disk that fails, for a daemon that is started through it: tests say how, and when.

import DaemonSupport
import Foundation
import Glibc
import TestSupport
import Testing

/// Calls that fail as a disk's do (Tests/Faults/faults.c).
final class FaultyDisk {
  /// Of the library and what it is told.
  private let folder: TemporaryFolder
  private let library: String
  private let control: String

  init() throws {
    folder = try TemporaryFolder()
    library = "\(folder.path)/faults.so"
    control = "\(folder.path)/faults"
    let source = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../Faults/faults.c").path
    let built = try run(
      "/usr/bin/env", ["clang", "-shared", "-fPIC", "-O1", "-o", library, source])
    try #require(built.code == 0, "\(built.errors)")
  }

  func wrapper(forPathsWith word: String) -> [String] {
    [
      "/usr/bin/env", "LD_PRELOAD=\(library)", "LIMITD_FAULTS=\(control)",
      "LIMITD_FAULTS_OF=\(word)",
    ]
  }

  /// Waits until a call of the daemon's hangs.
  func waitForHang() throws {
    try wait(for: "a call to hang") { access("\(control).hanging", F_OK) == 0 }
  }

  /// - Parameter fault: lines of faults.c; `nil`: it is whole again.
  func set(_ fault: String?) throws {
    unlink("\(control).hanging")
    guard let fault else {
      unlink(control)
      return
    }
    try Data(fault.utf8).write(to: URL(filePath: control), options: .atomic)
  }
}
