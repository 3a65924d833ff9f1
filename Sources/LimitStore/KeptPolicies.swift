// The policy files that were put in force, kept in the state directory: a state is read by the rules
// that it was written by, and `limitd --fall-back` starts with the last one.
//
//     policy.0123456789abcdef    a policy file's bytes, under their checksum
//     policy.last                a link to the newest of them
//     overlay.0123456789abcdef   what was set at run time over one of them, which it names
//
// A file is written beside, made durable, and put in place; so is the link. Any thread.

import Glibc
import LimitEngine
import LimitSystem

/// `STATE_DIR/policy.*` and `overlay.*`.
package final class KeptPolicies: Sendable {
  package enum Kind: String, CaseIterable, Sendable {
    case policy, overlay

    fileprivate var prefix: String { "\(rawValue)." }
  }

  private let directory: String
  /// A file that was found whole or written, and what the file system said of it then.
  private struct Found: Equatable {
    let identity: UInt64
    let inode: UInt
    let bytes: Int
    let modifiedSeconds: Int
    let modifiedNanoseconds: Int
  }

  /// The newest of each kind that was kept here. Keeping one and removing others exclude each other.
  private let newest = Locked<[Kind: Found]>([:])

  /// More is no policy file with what was set at run time over it.
  private static let bytesMax = 512 << 20

  package init(_ directory: String) { self.directory = directory }

  /// The link to the newest file.
  package var lastPath: String { "\(directory)/\(Kind.policy.prefix)last" }

  private static func name(_ identity: UInt64, _ kind: Kind) -> String {
    let digits = String(identity, radix: 16)
    return kind.prefix + String(repeating: "0", count: 16 - digits.count) + digits
  }

  private static func identity(named name: String, _ kind: Kind) -> UInt64? {
    let prefix = kind.prefix
    guard name.hasPrefix(prefix), name.utf8.count == prefix.utf8.count + 16 else { return nil }
    return UInt64(name.dropFirst(prefix.count), radix: 16)
  }

  // MARK: Reading

  /// The path of the file with this checksum, whether it is there or not.
  package func path(of identity: UInt64, _ kind: Kind = .policy) -> String {
    "\(directory)/\(Self.name(identity, kind))"
  }

  /// The file with this checksum; `nil` where it is not there, or is not as it was written.
  package func bytes(of identity: UInt64, _ kind: Kind = .policy) -> [UInt8]? {
    let flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW
    guard let file = try? Descriptor(open(path(of: identity, kind), flags)) else { return nil }
    var status = stat()
    guard fstat(file.number, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
      (0...Self.bytesMax).contains(Int(status.st_size))
    else { return nil }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    guard (try? file.fill(&bytes)) == bytes.count else { return nil }
    return Checksum.identity(of: bytes) == identity ? bytes : nil
  }

  /// The newest policy file, and its path; `nil` where there is none, or it is not as it was written.
  package func last() -> (bytes: [UInt8], path: String)? {
    guard let identity = lastIdentity, let bytes = bytes(of: identity) else { return nil }
    return (bytes, path(of: identity))
  }

  private var lastIdentity: UInt64? {
    var target = [UInt8](repeating: 0, count: 64)
    let count = readlink(lastPath, &target, target.count)
    guard count > 0 else { return nil }
    return Self.identity(named: String(decoding: target[..<count], as: UTF8.self), .policy)
  }

  // MARK: Writing

  /// Keeps a file as the newest of its kind. When this returns, it outlasts the power.
  ///
  /// O(1) for the one that was kept last, while nobody touches it; else O(bytes).
  ///
  /// - Parameter identity: the checksum of `bytes`; not 0.
  package func keep(_ bytes: [UInt8], identity: UInt64, as kind: Kind = .policy) throws(StoreError)
  {
    try newest.withLock { newest throws(StoreError) in
      let found = find(identity, kind)
      let isThere =
        found != nil && (found == newest[kind] || self.bytes(of: identity, kind) != nil)
      let isLast = kind == .overlay || lastIdentity == identity
      if isThere && isLast {
        newest[kind] = found
        return
      }
      do throws(SystemError) {
        if !isThere { try write(bytes, as: Self.name(identity, kind)) }
        if !isLast { try link(identity) }
        try Descriptor.makeDirectoryDurable(directory)
      } catch {
        throw .system(doing: "keep the rules in \(directory)", error)
      }
      newest[kind] = find(identity, kind)
    }
  }

  /// `nil` where it is not there.
  private func find(_ identity: UInt64, _ kind: Kind) -> Found? {
    var status = stat()
    guard lstat(path(of: identity, kind), &status) == 0 else { return nil }
    return Found(
      identity: identity, inode: status.st_ino, bytes: Int(status.st_size),
      modifiedSeconds: status.st_mtim.tv_sec, modifiedNanoseconds: status.st_mtim.tv_nsec)
  }

  private func link(_ identity: UInt64) throws(SystemError) {
    let link = "\(lastPath).new"
    unlink(link)
    guard symlink(Self.name(identity, .policy), link) == 0, rename(link, lastPath) == 0 else {
      throw .last()
    }
  }

  private func write(_ bytes: [UInt8], as name: String) throws(SystemError) {
    let temporary = "\(directory)/\(Kind.policy.prefix)new"
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

  /// Removes every file but the newest of each kind and those that `needed` names.
  ///
  /// - Parameter needed: asked while nobody keeps one. Names those, too, that overlays lie over.
  package func prune(except needed: () -> Set<UInt64>) {
    newest.withLock { newest in
      guard let stream = opendir(directory) else { return }
      defer { closedir(stream) }
      let needed = needed().union([lastIdentity, newest[.overlay]?.identity].compactMap(\.self))
      while let entry = readdir(stream) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
          String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        let found = Kind.allCases.compactMap { Self.identity(named: name, $0) }.first
        guard let identity = found, !needed.contains(identity) else { continue }
        unlink("\(directory)/\(name)")
      }
    }
  }
}
