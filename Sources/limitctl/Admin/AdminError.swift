// Why the admin interface could not be asked, or would not answer. Values.

import Glibc
import LimitAdminModel
import LimitConsole

enum AdminError: Error {
  /// Nobody answers on the socket; errno(3).
  case unreachable(path: String, number: Int32)
  /// It answers, and not as the interface does.
  case unreadable(path: String)
  /// It says what is wrong.
  case refused(Problem)

  /// What a command that failed so comes to.
  var result: CommandResult {
    switch self {
    case .unreachable(let path, let number):
      let advice = DaemonAdvice.unreachable(socket: path, systemError: number)
        .replacing("--socket or LIMITD_SOCKET", with: "--admin-socket or LIMITD_ADMIN_SOCKET")
      return CommandResult(
        errors: "limitctl: no admin interface at \(path): \(String(cString: strerror(number))); "
          + "\(advice)\n", exitCode: DaemonExit.unreachable)
    case .unreadable(let path):
      return CommandResult(
        errors: "limitctl: \(path) does not answer as limitd's admin interface does\n",
        exitCode: DaemonExit.error)
    case .refused(let problem):
      return CommandResult(
        errors: "limitctl: \(problem.title): \(problem.detail)\n", exitCode: DaemonExit.error)
    }
  }
}
