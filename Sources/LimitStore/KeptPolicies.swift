// The policy files that were put in force, kept in the state directory: a state is read by the rules
// that it was written by, and `limitd --fall-back` starts with the last one.
//
//     policy.0123456789abcdef   a file's bytes, under their checksum
//     policy.last               a link to the newest of them
//
// A file is written beside, made durable, and put in place; so is the link. Any thread.

import Glibc
import LimitEngine
import LimitSystem

/// `STATE_DIR/policy.*`.
package final class KeptPolicies: Sendable {
  private let directory: String
  /// Keeping one and removing others exclude each other.
  private let changes = Locked(())

  /// More is no policy file with what was set at run time over it.
  private static let bytesMax = 512 << 20
  private static let prefix = "policy."

  package init(_ directory: String) { self.directory = directory }

  /// The link to the newest file.
  package var lastPath: String { "\(directory)/\(Self.prefix)last" }

  private static func name(_ identity: UInt64) -> String {
    let digits = String(identity, radix: 16)
    return prefix + String(repeating: "0", count: 16 - digits.count) + digits
  }

  private static func identity(named name: String) -> UInt64? {
    guard name.hasPrefix(prefix), name.utf8.count == prefix.utf8.count + 16 else { return nil }
    return UInt64(name.dropFirst(prefix.count), radix: 16)
  }

  // MARK: Reading

  /// The path of the file with this checksum, whether it is there or not.
  package func path(of identity: UInt64) -> String { "\(directory)/\(Self.name(identity))" }

  /// The file with this checksum; `nil` where it is not there, or is not as it was written.
  package func bytes(of identity: UInt64) -> [UInt8]? {
    let flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW
    guard let file = try? Descriptor(open(path(of: identity), flags)) else { return nil }
    var status = stat()
    guard fstat(file.number, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      (0...Self.bytesMax).contains(Int(status.st_size))
    else { return nil }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    guard (try? file.fill(&bytes)) == bytes.count else { return nil }
    return Checksum.identity(of: bytes) == identity ? bytes : nil
  }

  /// The newest file, and its path; `nil` where there is none, or it is not as it was written.
  package func last() -> (bytes: [UInt8], path: String)? {
    guard let identity = lastIdentity, let bytes = bytes(of: identity) else { return nil }
    return (bytes, path(of: identity))
  }

  private var lastIdentity: UInt64? {
    var target = [UInt8](repeating: 0, count: 64)
    let count = readlink(lastPath, &target, target.count)
    guard count > 0 else { return nil }
    return Self.identity(named: String(decoding: target[..<count], as: UTF8.self))
  }

  // MARK: Writing

  /// Keeps a file as the newest. When this returns, it outlasts the power.
  ///
  /// - Parameter identity: the checksum of `bytes`; not 0.
  package func keep(_ bytes: [UInt8], identity: UInt64) throws(StoreError) {
    try changes.withLock { _ throws(StoreError) in
      let isThere = self.bytes(of: identity) != nil
      if isThere && lastIdentity == identity { return }
      do throws(SystemError) {
        if !isThere { try write(bytes, as: Self.name(identity)) }
        let link = "\(lastPath).new"
        unlink(link)
        guard symlink(Self.name(identity), link) == 0, rename(link, lastPath) == 0 else {
          throw .last()
        }
        try Descriptor.makeDirectoryDurable(directory)
      } catch {
        throw .system(doing: "keep the policy file in \(directory)", error)
      }
    }
  }

  private func write(_ bytes: [UInt8], as name: String) throws(SystemError) {
    let temporary = "\(directory)/\(Self.prefix)new"
    unlink(temporary)
    do throws(SystemError) {
      let file = try Descriptor(
        open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600))
      try file.writeAll(bytes)
      // The name comes with the bytes: a link to it is never to half a file.
      try file.makeDurable()
      guard rename(temporary, "\(directory)/\(name)") == 0 else { throw .last() }
    } catch {
      unlink(temporary)
      throw error
    }
  }

  /// Removes every file but the newest and those that `needed` names.
  ///
  /// - Parameter needed: asked while nobody keeps one.
  package func prune(except needed: () -> Set<UInt64>) {
    changes.withLock { _ in
      guard let stream = opendir(directory) else { return }
      defer { closedir(stream) }
      let last = lastIdentity
      let needed = needed()
      while let entry = readdir(stream) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
          String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        guard let identity = Self.identity(named: name), identity != last,
          !needed.contains(identity)
        else { continue }
        unlink("\(directory)/\(name)")
      }
    }
  }
}
