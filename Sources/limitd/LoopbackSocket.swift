// The TCP socket that metrics are read from, where the policy file gives its address. Any thread.

import Glibc
import LimitPolicy
import LimitSystem

/// Why there is none.
struct LoopbackSocketError: Error, CustomStringConvertible {
  let error: SystemError

  var description: String { "\(error)" }

  /// What to do about it.
  var remedy: String {
    switch error.number {
    case EADDRINUSE: "give daemon.metrics.listen another port; 'ss -ltnp' says who has this one"
    case EAFNOSUPPORT, EPERM, EACCES:
      "a sandbox keeps limitd from it: let systemd open the socket instead, enable "
        + "limitd-metrics.socket, and take daemon.metrics from the file"
    default: "see daemon.metrics in limitd.yaml(5)"
    }
  }
}

enum LoopbackSocket {
  /// Scrapers that wait to be accepted.
  private static let backlog: Int32 = 64

  /// A socket that listens: who connects waits until somebody accepts. The caller closes it.
  static func open(_ address: DaemonSettings.LoopbackAddress) throws(LoopbackSocketError) -> Int32 {
    let family = address.ipv4 == nil ? AF_INET6 : AF_INET
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    let descriptor = socket(family, kind, 0)
    guard descriptor >= 0 else { throw LoopbackSocketError(error: .last()) }
    var yes: Int32 = 1
    // A daemon that starts anew need not wait for the connections of the one before.
    guard
      setsockopt(
        descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size)) == 0,
      bind(descriptor, address), listen(descriptor, backlog) == 0
    else {
      let error = SystemError.last()
      close(descriptor)
      throw LoopbackSocketError(error: error)
    }
    return descriptor
  }

  private static func bind(
    _ descriptor: Int32, _ address: DaemonSettings.LoopbackAddress
  ) -> Bool {
    guard let ipv4 = address.ipv4 else {
      var name = sockaddr_in6()
      name.sin6_family = sa_family_t(AF_INET6)
      name.sin6_port = address.port.bigEndian
      name.sin6_addr = in6addr_loopback
      return bind(descriptor, &name)
    }
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = address.port.bigEndian
    name.sin_addr.s_addr = ipv4.bigEndian
    return bind(descriptor, &name)
  }

  private static func bind<Name>(_ descriptor: Int32, _ name: inout Name) -> Bool {
    let length = socklen_t(MemoryLayout<Name>.size)
    return withUnsafePointer(to: &name) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.bind(descriptor, $0, length) == 0
      }
    }
  }
}
