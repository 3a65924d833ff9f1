// Paths, and names that are no path, as addresses of Unix sockets.

package import Glibc

/// An address in the file system (unix(7)).
package enum SocketAddress {
  /// The longest path: `sun_path` without its terminator, in bytes.
  package static let pathBytesMax = 107

  /// Calls `body` with the address of a path. Errno is `ENAMETOOLONG`, and the result -1, where it
  /// has no room for it; `EINVAL` for a path that is empty or has a NUL.
  package static func with(
    path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 { with(Array(path.utf8), length: MemoryLayout<sockaddr_un>.size, body) }

  /// As `with(path:_:)`, for a name in the abstract namespace, which begins behind the first byte of where a
  /// path would be.
  package static func with(
    abstractName name: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + 1
    return with(Array(name.utf8), at: 1, length: start + name.utf8.count, body)
  }

  private static func with(
    _ bytes: [UInt8], at place: Int = 0, length: Int,
    _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    guard place + bytes.count <= pathBytesMax else {
      errno = ENAMETOOLONG
      return -1
    }
    guard !bytes.isEmpty, !bytes.contains(0) else {
      errno = EINVAL
      return -1
    }
    withUnsafeMutableBytes(of: &address.sun_path) {
      UnsafeMutableRawBufferPointer(rebasing: $0[place...]).copyBytes(from: bytes)
    }
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(length)) }
    }
  }
}
