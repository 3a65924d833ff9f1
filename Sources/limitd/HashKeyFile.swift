// The installation's secret, kept so that buckets, receipts and tags mean the same after a restart.

import Glibc
import LimitEngine
import Logging

/// `STATE_DIR/hash.key`: 16 bytes, readable by the daemon's user alone.
enum HashKeyFile {
  private static let byteCount = 16

  /// The key of the installation: read, or made and kept. Where that cannot be, a key for this run
  /// alone, with a warning.
  static func key(in directory: String, log: Logger) -> HashKey {
    let path = "\(directory)/hash.key"
    if let key = read(path, log) { return key }
    let key = HashKey.random()
    if let failure = keep(key, path) {
      log.warning(
        "the hash key cannot be kept, so receipts end with this run: \(path): \(failure)")
    }
    return key
  }

  private static func read(_ path: String, _ log: Logger) -> HashKey? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var words: (UInt64, UInt64) = (0, 0)
    var status = stat()
    let count = withUnsafeMutableBytes(of: &words) {
      Glibc.read(descriptor, $0.baseAddress, byteCount)
    }
    guard count == byteCount, fstat(descriptor, &status) == 0, status.st_size == byteCount else {
      log.error("\(path) is damaged and is made anew")
      return nil
    }
    if status.st_mode & 0o077 != 0 {
      log.warning("\(path) is open to other users; restrict it with: chmod 600 \(path)")
    }
    return HashKey(low: UInt64(littleEndian: words.0), high: UInt64(littleEndian: words.1))
  }

  /// Writes a file beside, makes it durable, and puts it in place.
  ///
  /// - Returns: what failed.
  private static func keep(_ key: HashKey, _ path: String) -> String? {
    let temporary = "\(path).new"
    unlink(temporary)
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return String(cString: strerror(errno)) }
    var words = (key.low.littleEndian, key.high.littleEndian)
    let count = withUnsafeBytes(of: &words) { write(descriptor, $0.baseAddress, byteCount) }
    let isKept = count == byteCount && fsync(descriptor) == 0 && rename(temporary, path) == 0
    let failure = String(cString: strerror(errno))
    close(descriptor)
    if isKept { return nil }
    unlink(temporary)
    return failure
  }
}
