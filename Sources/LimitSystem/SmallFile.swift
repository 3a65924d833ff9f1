// Small files of the kernel's, such as those in /proc. Any thread.

import Glibc

package enum SmallFile {
  /// The text of a file of at most 64 KiB; `nil` where it cannot be read, or is not UTF-8.
  package static func text(of path: String) -> String? {
    guard let file = try? Descriptor(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) else {
      return nil
    }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    guard let count = try? file.fill(&bytes) else { return nil }
    return String(validating: bytes[..<count], as: UTF8.self)
  }
}
