// Entries for the journal, field by field (systemd's "Native Journal Protocol").
//
// libsystemd's sd_journal_sendv waits where journald does not read; a daemon must not. So entries are
// sent from here, on a socket that does not block, and those that find no room are counted.

import CLinux
import Glibc
package import LimitSystem
import Synchronization

/// A connection to journald. Any thread; an entry is one datagram.
package final class JournalSocket: Sendable {
  /// The longest value; a longer one is cut. Keeps an entry far below what a datagram may have.
  package static let valueBytesMax = 8192

  private let socket: Descriptor
  private let path: String
  private let lost = Atomic<UInt64>(0)

  /// Reaches nobody yet: journald may come and go.
  package init(path: String = "/run/systemd/journal/socket") throws(SystemError) {
    self.path = path
    socket = try Descriptor(
      Glibc.socket(
        AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0))
  }

  /// How many entries journald did not take since this was last called.
  package func takeLostCount() -> UInt64 { lost.exchange(0, ordering: .relaxed) }

  /// Whether there is a journald that this process may write to.
  package var isReachable: Bool { access(path, W_OK) == 0 }

  /// Sends an entry.
  ///
  /// - Parameter fields: in order; a name is made of A to Z, 0 to 9 and `_` by `fieldName`.
  /// - Returns: whether journald has it.
  @discardableResult
  package func send(_ fields: [(name: String, value: String)]) -> Bool {
    let entry = Self.entry(fields)
    let sent = SocketAddress.with(path: path) { address, length in
      entry.withUnsafeBytes { bytes in
        Int32(
          clamping: retrying {
            sendto(
              socket.number, bytes.baseAddress, bytes.count, limitd_send_without_signal, address,
              length)
          })
      }
    }
    // Only a number that people read: nothing hangs on its order.
    if sent < 0 { lost.wrappingAdd(1, ordering: .relaxed) }
    return sent >= 0
  }

  /// The bytes of an entry: `NAME=value`, or, where the value has line ends, the name, the value's
  /// length and the value.
  static func entry(_ fields: [(name: String, value: String)]) -> [UInt8] {
    var bytes: [UInt8] = []
    for (name, value) in fields {
      let value = value.utf8.prefix(valueBytesMax)
      bytes += name.utf8
      if value.contains(UInt8(ascii: "\n")) {
        bytes.append(UInt8(ascii: "\n"))
        withUnsafeBytes(of: UInt64(value.count).littleEndian) { bytes += $0 }
      } else {
        bytes.append(UInt8(ascii: "="))
      }
      bytes += value
      bytes.append(UInt8(ascii: "\n"))
    }
    return bytes
  }

  /// A name as the journal wants it: `tenant-id` becomes `TENANT_ID`. A leading `_`, which only
  /// journald itself may use, and leading digits go; at most 64 bytes. `nil` where nothing is left.
  package static func fieldName(_ name: String) -> String? {
    let bytes = name.utf8.map { byte -> UInt8 in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"): byte - 32
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): byte
      default: UInt8(ascii: "_")
      }
    }
    let valid = bytes.drop { $0 < UInt8(ascii: "A") || $0 > UInt8(ascii: "Z") }.prefix(64)
    return valid.isEmpty ? nil : String(decoding: valid, as: UTF8.self)
  }
}
