// Memory for the engine's region: in huge pages where the kernel has them.
//
// A decision on one key of many reads one place of a large table. With 4 KiB pages that costs a
// walk through the page tables besides the read.

import Glibc

package enum TableMemory {
  /// Huge pages come in 2 MiB, from addresses that are a multiple of that.
  private static let hugePageBytes = 1 << 21

  /// Zeroed memory, all of it there: no decision waits for a page.
  ///
  /// - Precondition: the machine has the memory.
  package static func allocate(byteCount: Int) -> UnsafeMutableRawBufferPointer {
    let mapped = mappedBytes(byteCount)
    let memory = mmap(
      nil, mapped + hugePageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory, memory != MAP_FAILED else {
      preconditionFailure("no memory for tables of \(byteCount) bytes")
    }
    // Keep the aligned part alone.
    let skipped = -Int(bitPattern: memory) & (hugePageBytes - 1)
    let start = memory + skipped
    if skipped > 0 { munmap(memory, skipped) }
    if skipped < hugePageBytes { munmap(start + mapped, hugePageBytes - skipped) }
    // Not offered by every kernel, and then ordinary pages do.
    madvise(start, mapped, MADV_HUGEPAGE)
    memset(start, 0, byteCount)
    return UnsafeMutableRawBufferPointer(start: start, count: byteCount)
  }

  @Sendable package static func release(_ memory: UnsafeMutableRawBufferPointer) {
    munmap(memory.baseAddress, mappedBytes(memory.count))
  }

  private static func mappedBytes(_ byteCount: Int) -> Int {
    (byteCount + hugePageBytes - 1) / hugePageBytes * hugePageBytes
  }
}
