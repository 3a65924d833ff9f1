// What kind of file system a file lies in, and room in it. Any thread.

import CLinux
import Glibc

extension Descriptor {
  /// Whether the file lies in memory (tmpfs, ramfs): its pages are never written to a disk, and it
  /// ends with the boot.
  package borrowing func isInMemory() -> Bool { limitd_is_in_memory(number) == 1 }

  /// Makes the first `byteCount` bytes of the file be there, so that no later access to a mapping of
  /// it can fail (posix_fallocate(3)). What they hold stays.
  package borrowing func allocate(byteCount: Int) throws(SystemError) {
    while true {
      let status = posix_fallocate(number, 0, byteCount)
      if status == 0 { return }
      if status != EINTR { throw SystemError(number: status) }
    }
  }
}
