// The installation's secret, kept so that buckets, receipts and tags mean the same after a restart.
// One thread, at start.

import Glibc
package import LimitEngine
import LimitSystem

/// `STATE_DIR/hash.key`: 16 bytes, readable by the daemon's user alone.
///
/// Only a key that is missing is made: another key would orphan every bucket and every receipt, so
/// one that is there and cannot be used is an error, for a person to decide.
package enum HashKeyFile {
  private static let byteCount = 16

  /// What became of the key, for the log.
  package enum Origin: Sendable {
    case kept
    /// Kept, but other users may read it.
    case exposed
    case made
  }

  /// The key of the installation, read, or made and kept where there is none.
  ///
  /// - Parameter directory: must exist.
  package static func key(in directory: String) throws(StoreError) -> (HashKey, Origin) {
    let path = "\(directory)/hash.key"
    if let found = try read(path) { return found }
    let key = HashKey.random()
    try keep(key, path, in: directory)
    return (key, .made)
  }

  /// - Returns: `nil` where nothing is there, not even a link.
  private static func read(_ path: String) throws(StoreError) -> (HashKey, Origin)? {
    guard let file = try open(path) else { return nil }
    var status = stat()
    guard fstat(file.number, &status) == 0 else { throw .unusable(path, "\(SystemError.last())") }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .unusable(path, "is not a file") }
    var words: (UInt64, UInt64) = (0, 0)
    let count = withUnsafeMutableBytes(of: &words) { memory in
      retrying { Glibc.read(file.number, memory.baseAddress, byteCount) }
    }
    guard count >= 0 else { throw .unusable(path, "\(SystemError.last())") }
    guard count == byteCount, status.st_size == byteCount else {
      throw .unusable(path, "has \(status.st_size) bytes, not \(byteCount)")
    }
    guard words != (0, 0) else { throw .unusable(path, "holds nothing but zeros") }
    let key = HashKey(low: UInt64(littleEndian: words.0), high: UInt64(littleEndian: words.1))
    return (key, status.st_mode & 0o077 == 0 ? .kept : .exposed)
  }

  private static func open(_ path: String) throws(StoreError) -> Descriptor? {
    do throws(SystemError) {
      return try Descriptor(Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY))
    } catch {
      var status = stat()
      if error.number == ENOENT, lstat(path, &status) != 0, errno == ENOENT { return nil }
      throw .unusable(path, error.number == ENOENT ? "is a link to nothing" : "\(error)")
    }
  }

  /// Writes a file beside, makes it durable, and puts it in place where nothing is yet.
  private static func keep(_ key: HashKey, _ path: String, in directory: String)
    throws(StoreError)
  {
    let temporary = "\(path).new"
    unlink(temporary)
    do throws(SystemError) {
      let file = try Descriptor(
        Glibc.open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600))
      try file.writeAll([key.low.littleEndian, key.high.littleEndian])
      guard fchmod(file.number, 0o600) == 0 else { throw .last() }
      try file.makeDurable()
      // Not rename: where another daemon was quicker, its key stays.
      guard link(temporary, path) == 0 else { throw .last() }
      try Descriptor.makeDirectoryDurable(directory)
      unlink(temporary)
    } catch {
      unlink(temporary)
      throw .system(doing: "keep the hash key in \(path)", error)
    }
  }
}
