// Why what should outlive the daemon cannot be read or kept.

package import LimitSystem

/// An operating failure, in words for the person who can put it right.
package enum StoreError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A file that is there and cannot be used.
  case unusable(_ path: String, _ why: String)
  /// A live state that is there and cannot be used.
  case unusableLiveState(_ path: String, _ why: String)
  /// Another process has it.
  case inUse(_ path: String)
  /// More memory than there is. Sizes in bytes.
  case memory(needed: Int, available: Int?, for: String)
  /// A system call failed.
  case system(doing: String, SystemError)

  package var description: String {
    switch self {
    case .unusable(let path, let why):
      "\(path) \(why); put it back from a copy, or move it away to begin with a new one, which "
        + "forgets every bucket and every receipt"
    case .unusableLiveState(let path, let why):
      "the live state \(path) \(why); remove it, or give another --live-state"
    case .inUse(let path):
      "the live state \(path) is in use by another daemon; end that one, or give another --live-state"
    case .memory(let needed, let available, let purpose):
      "\(purpose) need \(Self.mebibytes(needed)) of memory, and "
        + (available.map { "\(Self.mebibytes($0)) are available" } ?? "the system refuses them")
        + "; write smaller sizes in daemon.table"
    case .system(let doing, let error): "cannot \(doing): \(error)"
    }
  }

  private static func mebibytes(_ bytes: Int) -> String { "\((bytes + 1 << 20 - 1) >> 20) MiB" }
}
