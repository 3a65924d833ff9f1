// Where the daemon is: what the root and every command that talks to the daemon take.

import ArgumentParser

/// The daemon's socket. ArgumentParser hands a group that the root has read on to the command, so
/// the option may stand before the command or behind it.
struct EndpointOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The daemon's socket. Default: LIMITD_SOCKET, else /run/limitd/limitd.sock.",
      valueName: "path"),
    completion: .file())
  var socket: String?

  func validate() throws {
    if socket == "" { throw ValidationError("--socket needs a path.") }
  }
}
