// Writing a snapshot: a walk over the slots while decisions go on, a block at a time. One thread;
// memory for one block, and no more however many buckets there are.

import Glibc
import LimitEngine
import LimitSystem

/// A snapshot that is being written.
struct SnapshotWriter: ~Copyable {
  private(set) var bucketCount = 0
  private(set) var byteCount = 0

  private let file: Descriptor
  private let info: SnapshotInfo
  private var number: UInt64 = 0

  /// Makes the file, which must not be there.
  init(_ path: String, _ info: SnapshotInfo) throws(SnapshotWriteError) {
    self.info = info
    file = try Self.make(path)
  }

  private static func make(_ path: String) throws(SnapshotWriteError) -> Descriptor {
    do throws(SystemError) {
      return try Descriptor(
        open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600))
    } catch {
      throw SnapshotWriteError("make \(path)", error)
    }
  }

  /// What became of a snapshot.
  enum Result {
    case written
    case abandoned
    /// The rules changed twice while it was written: nobody could tell what its words mean.
    case overtaken
  }

  /// Writes everything.
  mutating func write(
    _ engine: Engine, _ limits: [(identity: UInt64, name: String)], unless isAbandoned: () -> Bool
  ) throws(SnapshotWriteError) -> Result {
    try write(SnapshotFormat.header(info))
    try writeBlock(SnapshotFormat.names(limits, sequence: info.sequence))
    // What was dead when the snapshot was begun does not matter.
    let now = Instant(nanoseconds: info.clocks.boot &+ info.clockOffset)
    var builder = SnapshotBlockBuilder()
    // So many groups of four slots fill half a block, at most.
    let step = SnapshotBlockBuilder.recordsMax / 8
    for scope in Scope.allCases {
      let groups = engine.groupCount(scope)
      for start in stride(from: 0, to: groups, by: step) {
        if isAbandoned() { return .abandoned }
        engine.forEachBucket(scope, inGroups: start..<min(start + step, groups), at: now) {
          builder.add($0)
        }
        if 2 * builder.recordCount > SnapshotBlockBuilder.recordsMax { try flush(&builder) }
      }
    }
    if builder.recordCount > 0 { try flush(&builder) }
    var end = [UInt64](repeating: 0, count: SnapshotFormat.blockHeaderWords)
    end.append(UInt64(bucketCount))
    SnapshotFormat.finish(
      &end, as: SnapshotFormat.Block(kind: .end, number: number), sequence: info.sequence)
    try writeBlock(end)
    // Acquire, as all of the words were: rules of words that were read are seen here.
    guard let rules = info.rules.spanning(engine.rules) else { return .overtaken }
    if rules != info.rules {
      var info = info
      info.rules = rules
      try rewrite(SnapshotFormat.header(info))
    }
    return .written
  }

  /// Replaces the header.
  private borrowing func rewrite(_ words: [UInt64]) throws(SnapshotWriteError) {
    let count = words.withUnsafeBytes { memory in
      retrying { pwrite(file.number, memory.baseAddress, memory.count, 0) }
    }
    guard count == 8 * words.count else {
      throw .init("write a snapshot", count < 0 ? .last() : SystemError(number: ENOSPC))
    }
  }

  /// Makes what was written outlast the power (`Descriptor.makeDurable`).
  borrowing func makeDurable() throws(SnapshotWriteError) {
    do throws(SystemError) {
      try file.makeDurable()
    } catch {
      throw .init("make a snapshot durable", error)
    }
  }

  private mutating func flush(_ builder: inout SnapshotBlockBuilder) throws(SnapshotWriteError) {
    bucketCount += builder.recordCount
    try writeBlock(builder.finish(number: number, sequence: info.sequence))
  }

  private mutating func writeBlock(_ words: [UInt64]) throws(SnapshotWriteError) {
    try write(words)
    number += 1
  }

  private mutating func write(_ words: [UInt64]) throws(SnapshotWriteError) {
    do throws(SystemError) {
      try file.writeAll(words)
    } catch {
      throw .init("write a snapshot", error)
    }
    byteCount += 8 * words.count
  }
}
