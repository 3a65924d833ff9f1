// What doctor says of what outlasts the daemon: the state directory, the catalog in it, and the clock that
// ends of blocks and the record of changes go by.

import Glibc
import LimitAdminModel
import LimitConsole

extension Checkup {
  /// Less than this much room is worth a look, in bytes: several snapshots of an ordinary daemon.
  private static let roomMin: UInt64 = 256 << 20

  func stateDirectory(_ path: String) -> Finding {
    func finding(_ grade: Finding.Grade, _ text: String, _ remedy: String) -> Finding {
      Finding(grade: grade, subject: "state directory", text: text, remedy: remedy)
    }
    var status = stat()
    var system = statvfs()
    guard stat(path, &status) == 0, statvfs(path, &system) == 0 else {
      guard errno == EACCES else {
        return finding(
          .bad, "\(path): \(String(cString: strerror(errno)))",
          "nothing is kept over a restart; run: install -d -m 700 -o limitd \(path), and restart the "
            + "daemon")
      }
      return finding(.doubtful, "\(path) cannot be looked at from here", "run this as root")
    }
    guard status.st_mode & 0o022 == 0 else {
      return finding(
        .bad, "others may write \(path) (0\(String(status.st_mode & 0o777, radix: 8)))",
        "what limitd goes on with would be theirs to choose: chmod 700 \(path)")
    }
    var key = stat()
    if stat("\(path)/hash.key", &key) == 0, key.st_mode & 0o077 != 0 {
      return finding(
        .bad, "\(path)/hash.key is open to other users",
        "who knows it can choose names that collide: chmod 600 \(path)/hash.key")
    }
    let room = UInt64(system.f_bavail) * UInt64(system.f_frsize)
    guard room >= Self.roomMin else {
      return finding(
        .doubtful, "\(path) has room for \(AdminText.bytes(Int(room)))",
        "snapshots and what is set at run time need some: df \(path)")
    }
    return good("state directory", "\(path), room for \(AdminText.bytes(Int(clamping: room)))")
  }

  /// Whether what is set at run time is kept.
  func catalog(_ client: AdminClient, _ directory: String) -> Finding {
    func finding(_ grade: Finding.Grade, _ text: String, _ remedy: String) -> Finding {
      Finding(grade: grade, subject: "catalog", text: text, remedy: remedy)
    }
    do throws(AdminError) {
      _ = try client.get(AuditPage.self, "/v1/audit?limit=1")
    } catch {
      guard case .refused(let problem) = error else {
        return finding(.bad, "it could not be asked for", "see the daemon's log")
      }
      return finding(
        .bad, problem.detail, "decisions go on by the policy file alone; see the daemon's log")
    }
    let refused = "\(directory)/catalog.sqlite.refused"
    guard access(refused, F_OK) != 0 else {
      return finding(
        .doubtful, "one was damaged or of a later release, and is kept as \(refused)",
        "what was set in it is not in force: set it again, then remove that file")
    }
    return good("catalog", "what is set at run time is kept")
  }

  /// - Parameter isSynchronized: what the kernel says.
  func clock(_ isSynchronized: Bool?) -> Finding {
    guard let isSynchronized else {
      return Finding(
        grade: .doubtful, subject: "clock", text: "the kernel does not say how right it is",
        remedy: "see timedatectl")
    }
    guard !isSynchronized else { return good("clock", "synchronized") }
    return Finding(
      grade: .doubtful, subject: "clock", text: "nobody keeps it right",
      remedy: "limits do not go by it; ends of blocks and the times of events and changes do: "
        + "timedatectl set-ntp true")
  }
}
