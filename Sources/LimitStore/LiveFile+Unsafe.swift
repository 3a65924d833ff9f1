// The file that a region lies in: held by one daemon, mapped, and of its full size from the start.
//
//     FILE       the live state; its lock is the daemon's as long as it lives
//     FILE.new   one that is being made; put in FILE's place when it is complete
//
// The lock is the kernel's (flock(2)) and belongs to the open file, which the mapping holds too: a
// killed process gives it up only when the last of its threads is gone and none can write any more.
// One thread, at start.

import Glibc
import LimitSystem

/// A live state's path and lock.
package struct LiveFile: ~Copyable, Sendable {
  package let path: String
  private var file: Descriptor

  /// How long a process that was just killed may take to be gone, in ns.
  package static let patienceNanoseconds: UInt64 = 5_000_000_000

  /// Opens the file, made empty where it is missing, and takes its lock.
  ///
  /// - Parameter patience: how long to wait for a lock that another process has, in ns.
  /// - Throws: `inUse` where another daemon lives; `unusableLiveState` where something else is at the
  ///   path, or the file is another user's; else `system`.
  package init(_ path: String, patience: UInt64 = patienceNanoseconds) throws(StoreError) {
    self.path = path
    file = try Self.locked(path, until: Clock.bootNanoseconds() + patience)
  }

  private static func locked(_ path: String, until deadline: UInt64) throws(StoreError)
    -> Descriptor
  {
    while true {
      if let file = try attempt(path) { return file }
      guard Clock.bootNanoseconds() < deadline else { throw .inUse(path) }
      usleep(5_000)
    }
  }

  /// - Returns: `nil` where another process has the lock, or has just replaced the file.
  private static func attempt(_ path: String) throws(StoreError) -> Descriptor? {
    let file = try open(path, O_CREAT)
    let status = flock(file.number, LOCK_EX | LOCK_NB)
    let error = SystemError.last()
    guard status == 0 || error.number == EWOULDBLOCK || error.number == EINTR else {
      throw .system(doing: "lock the live state \(path)", error)
    }
    let isThere = stands(file, at: path)
    if status == 0, isThere { return file }
    return nil
  }

  /// The file at a path, where it is one that nobody else can have changed.
  private static func open(_ path: String, _ flags: Int32) throws(StoreError) -> Descriptor {
    let file = try opened(path, flags)
    var status = stat()
    guard fstat(file.number, &status) == 0 else {
      throw .system(doing: "open the live state \(path)", .last())
    }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .unusableLiveState(path, "is not a file")
    }
    // Whoever owns it, or has another name for it, could change every bucket.
    guard status.st_uid == geteuid() else {
      throw .unusableLiveState(path, "belongs to user \(status.st_uid)")
    }
    guard status.st_nlink <= 1 else { throw .unusableLiveState(path, "has another name") }
    guard status.st_mode & 0o077 == 0 || fchmod(file.number, 0o600) == 0 else {
      throw .system(doing: "keep others from the live state \(path)", .last())
    }
    return file
  }

  private static func opened(_ path: String, _ flags: Int32) throws(StoreError) -> Descriptor {
    do throws(SystemError) {
      // No FIFO, device or link makes this wait or leads elsewhere.
      return try Descriptor(
        Glibc.open(path, flags | O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0o600))
    } catch {
      switch error.number {
      case ELOOP: throw .unusableLiveState(path, "is a link")
      case EISDIR: throw .unusableLiveState(path, "is a directory")
      case ENXIO: throw .unusableLiveState(path, "is not a file")
      default: throw .system(doing: "open the live state \(path)", error)
      }
    }
  }

  private static func stands(_ file: borrowing Descriptor, at path: String) -> Bool {
    var (held, there) = (stat(), stat())
    return fstat(file.number, &held) == 0 && lstat(path, &there) == 0
      && held.st_ino == there.st_ino && held.st_dev == there.st_dev
  }

  /// Whether it lies in memory: on a disk, the kernel writes it back again and again, and a decision
  /// may wait for that.
  package var isInMemory: Bool { file.isInMemory() }

  /// Its size, in bytes.
  private var byteCount: Int {
    var status = stat()
    return fstat(file.number, &status) == 0 ? Int(status.st_size) : 0
  }

  package var isEmpty: Bool { byteCount == 0 }

  // MARK: Mapping

  /// What the file holds, mapped: pages of its own beyond the first, or beyond its end, may be
  /// missing (`complete`).
  ///
  /// - Returns: `nil` where it has less than a page.
  package func mapped() throws(StoreError) -> UnsafeMutableRawBufferPointer? {
    let byteCount = byteCount
    guard byteCount >= 4096 else { return nil }
    // The header is read before its size is known to be sound.
    try allocate(file, 4096)
    return try map(file, byteCount)
  }

  /// Makes the first `byteCount` bytes of the mapping be there, each page of them mapped.
  package func complete(_ memory: UnsafeMutableRawBufferPointer, byteCount: Int)
    throws(StoreError)
  {
    try allocate(file, byteCount)
    TableMemory.populate(UnsafeMutableRawBufferPointer(rebasing: memory[..<byteCount]))
  }

  @Sendable package static func unmap(_ memory: UnsafeMutableRawBufferPointer) {
    munmap(memory.baseAddress, memory.count)
  }

  private func allocate(_ file: borrowing Descriptor, _ byteCount: Int) throws(StoreError) {
    do throws(SystemError) {
      try file.allocate(byteCount: byteCount)
    } catch {
      let mebibytes = (byteCount + 1 << 20 - 1) >> 20
      throw .system(doing: "have \(mebibytes) MiB for the live state \(path)", error)
    }
  }

  /// Maps a file at a multiple of 2 MiB, so that huge pages fit where the file system has them.
  private func map(_ file: borrowing Descriptor, _ byteCount: Int) throws(StoreError)
    -> UnsafeMutableRawBufferPointer
  {
    let huge = TableMemory.hugePageBytes
    let room = TableMemory.mappedBytes(byteCount) + huge
    let place = mmap(nil, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let place, place != MAP_FAILED else { throw mappingError(byteCount) }
    let start = place + (-Int(bitPattern: place) & (huge - 1))
    let memory = mmap(
      start, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file.number, 0)
    guard let memory, memory != MAP_FAILED else {
      let error = mappingError(byteCount)
      munmap(place, room)
      throw error
    }
    // Where the mount's option `huge` says "advise". The rest of `place` is only address space.
    madvise(memory, byteCount, MADV_HUGEPAGE)
    return UnsafeMutableRawBufferPointer(start: memory, count: byteCount)
  }

  /// What `errno` says of a mapping that failed.
  private func mappingError(_ byteCount: Int) -> StoreError {
    let error = SystemError.last()
    return error.number == ENOMEM
      ? .memory(needed: byteCount, available: nil, for: "the tables")
      : .system(doing: "map the live state \(path)", error)
  }

  // MARK: A new one

  /// Where one lies while it is being made.
  var newPath: String { "\(path).new" }

  /// Removes a file that holds nothing, for a daemon that does not come to start.
  package func removeEmpty() {
    if isEmpty { unlink(path) }
  }

  /// Gives back what the file holds.
  package func clear() throws(StoreError) {
    guard ftruncate(file.number, 0) == 0 else {
      throw .system(doing: "clear the live state \(path)", .last())
    }
  }

  /// Puts the file aside under `path.refused`, for a person to look at, in place of an earlier one.
  ///
  /// - Returns: where it is.
  package mutating func putAside() throws(StoreError) -> String {
    let aside = "\(path).refused"
    guard rename(path, aside) == 0 else {
      throw .system(doing: "put the live state \(path) aside", .last())
    }
    // Another daemon that waits for the old file's lock sees that it is not at the path any more.
    self = try LiveFile(path, patience: 0)
    return aside
  }

  /// Memory of zeros in a file beside, all of it there.
  package func make(byteCount: Int) throws(StoreError) -> NewLiveFile {
    try TableMemory.checkAvailable(byteCount)
    // Left by a process that was killed: whoever has our lock is alone here.
    unlink(newPath)
    let file = try Self.open(newPath, O_CREAT | O_EXCL)
    do throws(StoreError) {
      guard flock(file.number, LOCK_EX | LOCK_NB) == 0, ftruncate(file.number, byteCount) == 0
      else { throw .system(doing: "make the live state \(newPath)", .last()) }
      let memory = try map(file, byteCount)
      // In this order: what is allocated without the mapping is never in huge pages. Where there is
      // no room this fails without a signal, and then the allocation says why.
      let isThere = TableMemory.isPopulated(memory)
      try allocate(file, byteCount)
      if !isThere { TableMemory.populate(memory) }
      return NewLiveFile(file: file, memory: memory)
    } catch {
      unlink(newPath)
      throw error
    }
  }

  /// Puts a new file in this one's place, at once and for good.
  package mutating func replace(by new: consuming NewLiveFile) throws(StoreError) {
    guard rename(newPath, path) == 0 else {
      throw .system(doing: "put the live state \(path) in place", .last())
    }
    file = new.file
  }
}

/// A live state that is being made, locked.
package struct NewLiveFile: ~Copyable {
  fileprivate let file: Descriptor
  /// Aligned to 2 MiB, zero.
  package let memory: UnsafeMutableRawBufferPointer
}
