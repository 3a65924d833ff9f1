// Descriptors that outlive the process: systemd keeps them and hands them to the next one.

import CSystemd
package import LimitSystem

/// systemd's store of a service's descriptors (`FileDescriptorStoreMax=`). They come back among
/// `PassedDescriptors`, under their names. Any thread.
package enum DescriptorStore {
  /// The longest name, in bytes (sd_pid_notify_with_fds(3)).
  package static let nameBytesMax = 255

  /// Gives systemd a copy of a descriptor. One that it holds already, under whatever name, is not
  /// stored again.
  ///
  /// - Parameters:
  ///   - name: 1 to 255 printable ASCII characters without `:`.
  /// - Returns: whether somebody listens; systemd does not say whether it had room.
  /// - Throws: the message could not be sent.
  @discardableResult
  package static func push(_ descriptor: Int32, named name: String) throws(SystemError) -> Bool {
    checkName(name)
    // FDPOLL=0: systemd would else drop a descriptor that reports an error or the end of its peer.
    var descriptors = [descriptor]
    let status = sd_pid_notify_with_fds(
      0, 0, "FDSTORE=1\nFDNAME=\(name)\nFDPOLL=0", &descriptors, 1)
    guard status >= 0 else { throw SystemError(number: -status) }
    return status > 0
  }

  /// Has systemd close its copies under a name.
  @discardableResult
  package static func remove(named name: String) -> Bool {
    checkName(name)
    return sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=\(name)") > 0
  }

  private static func checkName(_ name: String) {
    precondition(
      1...nameBytesMax ~= name.utf8.count
        && name.utf8.allSatisfy { (0x20..<0x7F).contains($0) && $0 != UInt8(ascii: ":") },
      "a name in the store is 1 to 255 printable ASCII characters without a colon")
  }
}
