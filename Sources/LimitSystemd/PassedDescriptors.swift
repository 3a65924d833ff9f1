// What systemd has open for this process when it starts: its sockets.

import CSystemd
import Glibc
package import LimitSystem

/// Descriptors by name. Names are systemd's (`FileDescriptorName=`): the order in which
/// sockets come is not defined. The process's first thread takes them, once, before there is another.
package struct PassedDescriptors: ~Copyable {
  private var passed: [(name: String, number: Int32)]

  /// What the environment says was passed to this process; nothing where systemd did not start it.
  /// Clears the environment of it, so that no child takes it for its own.
  ///
  /// - Throws: the environment names descriptors that are not open.
  package static func take() throws(SystemError) -> PassedDescriptors {
    var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
    let count = sd_listen_fds_with_names(1, &names)
    guard count >= 0 else { throw SystemError(number: -count) }
    defer {
      if let names {
        for place in 0..<Int(count) { free(names[place]) }
        free(names)
      }
    }
    return PassedDescriptors(
      (0..<count).map { place in
        (names?[Int(place)].map { String(cString: $0) } ?? "", SD_LISTEN_FDS_START + place)
      })
  }

  init(_ passed: [(name: String, number: Int32)]) { self.passed = passed }

  deinit { for (_, number) in passed { close(number) } }

  /// The names of what nobody has taken yet; these are closed with this value.
  package var names: [String] { passed.map(\.name) }

  /// The descriptors of a name, in the order in which they came. They are the caller's from here on.
  package mutating func take(named name: String) -> [Int32] {
    let taken = passed.filter { $0.name == name }.map(\.number)
    passed.removeAll { $0.name == name }
    return taken
  }
}
