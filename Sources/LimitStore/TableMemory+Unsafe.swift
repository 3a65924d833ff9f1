// Memory for the engine's region: in huge pages where the kernel has them.
//
// A decision on one key of many reads one place of a large table. With 4 KiB pages that costs a
// walk through the page tables besides the read. One thread, at start and at the end.

import Glibc
import LimitSystem

package enum TableMemory {
  /// Huge pages come in 2 MiB, from addresses that are a multiple of that.
  static let hugePageBytes = 1 << 21

  /// Zeroed memory, aligned to 2 MiB, all of it there: no decision waits for a page.
  ///
  /// - Throws: `memory` where the machine, or this process's limits, do not have it. Asking first
  ///   is what keeps the kernel from ending the process, or another one, when it is touched.
  package static func allocate(byteCount: Int) throws(StoreError) -> UnsafeMutableRawBufferPointer {
    try checkAvailable(byteCount)
    let mapped = mappedBytes(byteCount)
    let memory = mmap(
      nil, mapped + hugePageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory, memory != MAP_FAILED else {
      throw .memory(needed: byteCount, available: nil, for: "the tables")
    }
    // Keep the aligned part alone.
    let skipped = -Int(bitPattern: memory) & (hugePageBytes - 1)
    let start = memory + skipped
    if skipped > 0 { munmap(memory, skipped) }
    if skipped < hugePageBytes { munmap(start + mapped, hugePageBytes - skipped) }
    // Not offered by every kernel, and then ordinary pages do.
    madvise(start, mapped, MADV_HUGEPAGE)
    let tables = UnsafeMutableRawBufferPointer(start: start, count: byteCount)
    populate(tables)
    return tables
  }

  /// Enters every page into the page tables, so that no decision waits for one. What is there stays;
  /// nobody else has the mapping, and the memory is there to be had.
  static func populate(_ memory: UnsafeMutableRawBufferPointer) {
    if isPopulated(memory) { return }
    // Linux before 5.14.
    for offset in stride(from: 0, to: memory.count, by: 4096) {
      let byte = memory.load(fromByteOffset: offset, as: UInt8.self)
      memory.storeBytes(of: byte, toByteOffset: offset, as: UInt8.self)
    }
  }

  /// As `populate`; where the memory is not to be had, or the kernel cannot do it, nothing happens.
  ///
  /// The kernel clears each page first: several processors share that.
  ///
  /// - Returns: whether all of it is there.
  static func isPopulated(_ memory: UnsafeMutableRawBufferPointer) -> Bool {
    guard let start = memory.baseAddress else { return true }
    let (base, byteCount) = (UInt(bitPattern: start), memory.count)
    let pieces = (byteCount + pieceBytes - 1) / pieceBytes
    let (next, failures) = (Locked(0), Locked(0))
    Thread.concurrently(min(threadsMax, pieces), named: "limitd-memory") { _ in
      while true {
        let piece = next.withLock { next in
          next += 1
          return next - 1
        }
        guard piece < pieces else { return }
        let offset = piece * pieceBytes
        let status = madvise(
          UnsafeMutableRawPointer(bitPattern: base + UInt(offset)),
          min(pieceBytes, byteCount - offset), MADV_POPULATE_WRITE)
        if status != 0 { failures.withLock { $0 += 1 } }
      }
    }
    return failures.withLock { $0 } == 0
  }

  /// What one thread asks the kernel for at once: a multiple of a huge page.
  private static let pieceBytes = 32 << 20
  /// More threads would wait for the memory and for each other.
  static var threadsMax: Int { min(4, Thread.processorCount) }

  @Sendable package static func release(_ memory: UnsafeMutableRawBufferPointer) {
    munmap(memory.baseAddress, mappedBytes(memory.count))
  }

  /// - Throws: `memory` where there is less than that.
  static func checkAvailable(_ byteCount: Int) throws(StoreError) {
    guard let available = availableBytes(), available < byteCount else { return }
    throw .memory(needed: byteCount, available: available, for: "the tables")
  }

  static func mappedBytes(_ byteCount: Int) -> Int {
    (byteCount + hugePageBytes - 1) / hugePageBytes * hugePageBytes
  }

  /// What the machine can give without swapping (`MemAvailable` of /proc/meminfo, proc(5)), or what
  /// this process's control group has left; `nil` where neither says.
  private static func availableBytes() -> Int? {
    let machine = SmallFile.text(of: "/proc/meminfo").flatMap { text in
      number(after: "MemAvailable:", in: text).map { $0 * 1024 }
    }
    return [machine, groupBytes()].compactMap { $0 }.min()
  }

  /// What the control group has left (cgroups(7), version 2).
  private static func groupBytes() -> Int? {
    guard let groups = SmallFile.text(of: "/proc/self/cgroup"),
      let line = groups.split(separator: "\n").first(where: { $0.hasPrefix("0::") })
    else { return nil }
    let folder = "/sys/fs/cgroup" + line.dropFirst(3)
    guard let limit = SmallFile.text(of: folder + "/memory.max").flatMap({ number(in: $0) }),
      let used = SmallFile.text(of: folder + "/memory.current").flatMap({ number(in: $0) })
    else { return nil }
    return max(0, limit - used)
  }

  private static func number(after name: String, in text: String) -> Int? {
    text.split(separator: "\n").first { $0.hasPrefix(name) }
      .flatMap { number(in: $0.dropFirst(name.count)) }
  }

  private static func number(in text: some StringProtocol) -> Int? {
    text.split(whereSeparator: { $0 == " " || $0 == "\n" }).first.flatMap { Int($0) }
  }
}
