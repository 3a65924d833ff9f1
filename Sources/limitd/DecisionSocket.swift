// Where the decision socket comes from: systemd, where it passes one, else the policy file's path.

import LimitPolicy
import LimitServer
import LimitStore
import LimitSystem
import LimitSystemd
import Logging

enum DecisionSocket {
  /// What systemd calls it: the name in our unit, and the one that a unit without a name has.
  private static let names = ["decision", "limitd.socket"]

  /// Takes the socket that systemd passes, or makes one.
  ///
  /// - Parameter passed: what systemd passes; what has another name stays there.
  static func open(
    _ settings: DaemonSettings.Socket, _ passed: inout PassedDescriptors
  ) throws -> ListeningSocket {
    let descriptors = names.flatMap { passed.take(named: $0) }
    if let first = descriptors.first {
      guard descriptors.count == 1 else { throw SeveralSockets(count: descriptors.count) }
      return try ListeningSocket(adopting: first)
    }
    return try .make(settings, named: "socket", flag: "--socket")
  }
}

extension ListeningSocket {
  /// Makes a socket, and the directory that its path leads through.
  ///
  /// - Parameters:
  ///   - name: for the error, as in "admin socket".
  ///   - flag: which names another path.
  static func make(
    _ settings: DaemonSettings.Socket, named name: String, flag: String
  ) throws -> ListeningSocket {
    if let directory = settings.path.directoryOfPath {
      try Directory.make(
        directory, mode: 0o755, purpose: "the \(name)'s directory",
        remedy: "run: install -d -o \(UserName.own) \(directory), or give another \(flag)")
    }
    return try ListeningSocket(settings)
  }
}

/// systemd passes more decision sockets than one.
struct SeveralSockets: Error, CustomStringConvertible {
  var count: Int

  var description: String {
    "systemd passes \(count) decision sockets, and one is served; give limitd.socket one "
      + "ListenStream="
  }
}

extension String {
  /// What a path leads through; `nil` for one that names a file of the working directory.
  fileprivate var directoryOfPath: String? {
    guard let slash = lastIndex(of: "/") else { return nil }
    return slash == startIndex ? "/" : String(self[..<slash])
  }
}
