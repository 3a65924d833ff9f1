// The directories that the daemon needs: made where it may, with the modes that they should have.
// One thread, at start.

import Glibc
import LimitSystem

/// Makes directories.
package enum Directory {
  /// Makes `path`, and what leads to it, where it is missing.
  ///
  /// - Parameters:
  ///   - mode: of `path`, where it is made; what leads to it gets 0755.
  ///   - purpose: for the error, as in "the state directory".
  ///   - remedy: a command or a flag that would help where this user may not make it.
  package static func make(_ path: String, mode: UInt32, purpose: String, remedy: String)
    throws(StoreError)
  {
    var status = stat()
    if stat(path, &status) == 0 {
      guard status.st_mode & S_IFMT == S_IFDIR else {
        throw .system(doing: "use \(path) as \(purpose)", SystemError(number: ENOTDIR))
      }
      return
    }
    var end = path.startIndex
    while end != path.endIndex {
      end = path[end...].dropFirst().firstIndex(of: "/") ?? path.endIndex
      let isLast = end == path.endIndex
      let piece = String(path[..<end])
      if mkdir(piece, isLast ? mode : 0o755) == 0 {
        // The process's mask may have taken bits away.
        try setMode(isLast ? mode : 0o755, of: piece)
        continue
      }
      if errno == EEXIST { continue }
      let error = SystemError.last()
      if !isLast, error.number == EROFS || error.number == EACCES, access(path, F_OK) == 0 {
        continue
      }
      throw .system(doing: "make \(purpose) \(path) (\(remedy))", error)
    }
  }

  /// By a descriptor, so that no other directory can come to stand at the path meanwhile.
  private static func setMode(_ mode: UInt32, of path: String) throws(StoreError) {
    do throws(SystemError) {
      let directory = try Descriptor(
        open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
      guard fchmod(directory.number, mode) == 0 else { throw .last() }
    } catch {
      throw .system(doing: "set the mode of \(path)", error)
    }
  }
}
