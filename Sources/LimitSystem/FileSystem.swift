// Files: their bytes, whole; what makes them durable; room for them, and where they lie. Any thread.

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

extension Descriptor {
  // MARK: Whole reads and writes

  /// Reads until all elements are filled or the file ends.
  ///
  /// - Parameter offset: where to begin, in bytes; `nil`: where the file stands.
  /// - Returns: how many bytes were read.
  package borrowing func fill<Element: BitwiseCopyable>(
    _ elements: inout [Element], at offset: Int? = nil
  ) throws(SystemError) -> Int {
    let total = elements.count * MemoryLayout<Element>.stride
    var count = 0
    while count < total {
      let read = elements.withUnsafeMutableBytes { memory in
        let (place, room) = (memory.baseAddress! + count, total - count)
        return retrying {
          offset.map { pread(number, place, room, $0 + count) } ?? Glibc.read(number, place, room)
        }
      }
      guard read >= 0 else { throw .last() }
      if read == 0 { break }
      count += read
    }
    return count
  }

  /// Writes the bytes of all elements.
  ///
  /// - Throws: what the system says; `ENOSPC` where it writes nothing and names no error.
  package borrowing func writeAll<Element: BitwiseCopyable>(_ elements: [Element])
    throws(SystemError)
  {
    let total = elements.count * MemoryLayout<Element>.stride
    var count = 0
    while count < total {
      let written = elements.withUnsafeBytes { memory in
        retrying { Glibc.write(number, memory.baseAddress! + count, total - count) }
      }
      guard written >= 0 else { throw .last() }
      guard written > 0 else { throw SystemError(number: ENOSPC) }
      count += written
    }
  }

  // MARK: Durability

  /// Makes what was written, or a directory's names, outlast the power. Once: after a failure, a second
  /// try would succeed without the data being there.
  package borrowing func makeDurable() throws(SystemError) {
    guard fsync(number) == 0 else { throw .last() }
  }

  /// Makes the names in a directory outlast the power.
  package static func makeDirectoryDurable(_ path: String) throws(SystemError) {
    try Descriptor(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)).makeDurable()
  }
}
