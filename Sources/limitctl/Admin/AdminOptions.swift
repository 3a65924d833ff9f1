// What every command that asks the admin interface has in common.

import ArgumentParser
import Glibc
import LimitConsole

/// Where the admin interface is.
struct AdminEndpointOptions: ParsableArguments {
  @OptionGroup var endpoint: EndpointOptions

  @Option(
    help: ArgumentHelp(
      "The admin socket. Default: LIMITD_ADMIN_SOCKET, else admin.sock beside the daemon's socket.",
      valueName: "path"),
    completion: .file())
  var adminSocket: String?

  func validate() throws {
    if adminSocket == "" { throw ValidationError("--admin-socket needs a path.") }
  }

  var path: String { Self.path(adminSocket: adminSocket, socket: endpoint.socket) }

  /// - Parameters: as given by options; `nil`: not given.
  static func path(adminSocket: String?, socket: String?) -> String {
    if let adminSocket { return adminSocket }
    func variable(_ name: String) -> String? {
      getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
    if let path = variable("LIMITD_ADMIN_SOCKET") { return path }
    let socket = socket ?? variable("LIMITD_SOCKET") ?? "/run/limitd/limitd.sock"
    return (socket.lastIndex(of: "/").map { socket[...$0] } ?? "") + "admin.sock"
  }
}

/// Where the admin interface is, and how to print.
struct AdminOptions: ParsableArguments {
  @OptionGroup var endpoint: AdminEndpointOptions

  @Flag(help: "Print JSON, as the daemon answers.")
  var json = false

  /// Asks, and ends the command with what came of it.
  func run(_ ask: (AdminClient, Terminal) throws(AdminError) -> CommandResult) throws {
    let result: CommandResult
    do throws(AdminError) {
      result = try ask(AdminClient(path: endpoint.path), Terminal.standardOutput())
    } catch {
      result = error.result
    }
    try result.finish()
  }

  /// What the daemon answered, as it is or laid out for people.
  func result<Value>(
    _ answer: (value: Value, text: String), _ lines: (Value) -> [String]
  ) -> CommandResult {
    CommandResult(
      output: json ? answer.text : lines(answer.value).map { "\($0)\n" }.joined())
  }
}
