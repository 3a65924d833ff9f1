// Paths as addresses of Unix sockets.

package import Glibc

/// An address in the file system (unix(7)).
package enum SocketAddress {
  /// The longest path: `sun_path` without its terminator, in bytes.
  package static let pathBytesMax = 107

  /// Calls `body` with the address of a path. Errno is `ENAMETOOLONG`, and the result -1, where it
  /// has no room for it; `EINVAL` for a path that is empty or has a NUL.
  package static func with(
    path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    guard path.utf8.count <= pathBytesMax else {
      errno = ENAMETOOLONG
      return -1
    }
    guard !path.isEmpty, !path.utf8.contains(0) else {
      errno = EINVAL
      return -1
    }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
  }
}
