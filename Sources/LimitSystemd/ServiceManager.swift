// What a service tells the service manager that started it. Any thread.
//
// libsystemd's sd_notify(3) waits for as long as the manager does not read; who hears the signal to end must
// not. So notices are sent from here, in the form that the manual describes.

import CLinux
import CSystemd
import Glibc
import LimitSystem

/// One thing to tell (sd_notify(3)). Several go in one message, and so arrive together.
package enum ServiceNotice: Hashable, Sendable {
  /// It serves, or serves again after a reload.
  case ready
  /// It has begun to reload, at this reading of CLOCK_MONOTONIC in microseconds.
  case reloading(monotonicMicroseconds: UInt64)
  /// It has begun to end.
  case stopping
  /// How it does, in one line for people.
  case status(String)
  /// It lives: to be said at least every `ServiceManager.watchdogMicroseconds`.
  case alive
  /// What it does now may take this long from now, in microseconds, before the manager worries.
  case extendTimeout(microseconds: UInt64)

  /// The assignment of sd_notify(3).
  var assignment: String {
    switch self {
    case .ready: "READY=1"
    case .reloading(let time): "RELOADING=1\nMONOTONIC_USEC=\(time)"
    case .stopping: "STOPPING=1"
    case .status(let text): "STATUS=\(Self.line(text))"
    case .alive: "WATCHDOG=1"
    case .extendTimeout(let time): "EXTEND_TIMEOUT_USEC=\(time)"
    }
  }

  /// A text without line ends, which would begin another assignment.
  private static func line(_ text: String) -> String {
    String(text.map { $0.isNewline ? " " : $0 })
  }
}

/// The manager of this process, where it has one.
package enum ServiceManager {
  /// How long to wait for a manager that does not read, in µs. One that is only busy reads sooner.
  private static let patienceMicroseconds = 100_000

  /// Tells it. Waits for at most a tenth of a second; what it does not take then is lost.
  ///
  /// - Returns: whether it has it.
  @discardableResult
  package static func tell(_ notices: ServiceNotice...) -> Bool {
    guard let address = getenv("NOTIFY_SOCKET") else { return false }
    let text = notices.map(\.assignment).joined(separator: "\n")
    return (try? send(text, to: String(cString: address))) ?? false
  }

  /// - Parameter address: a path, or `@` and a name in the abstract namespace.
  private static func send(_ text: String, to address: String) throws(SystemError) -> Bool {
    let socket = try Descriptor(
      Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
    var patience = timeval(tv_sec: 0, tv_usec: patienceMicroseconds)
    setsockopt(
      socket.number, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    let bytes = Array(text.utf8)
    let number = socket.number
    func send(_ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> Int32 {
      Int32(
        clamping: retrying {
          sendto(number, bytes, bytes.count, limitd_send_without_signal, address, length)
        })
    }
    let sent =
      address.hasPrefix("@")
      ? SocketAddress.with(abstractName: String(address.dropFirst()), send)
      : SocketAddress.with(path: address, send)
    return Int(sent) == bytes.count
  }

  /// How often it wants a sign of life, in microseconds; `nil`: never.
  package static func watchdogMicroseconds() -> UInt64? {
    var time: UInt64 = 0
    return sd_watchdog_enabled(0, &time) > 0 ? time : nil
  }
}
