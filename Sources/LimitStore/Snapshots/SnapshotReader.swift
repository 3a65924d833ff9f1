// Reading a snapshot block by block. One thread uses a reader; memory for one block.

import Glibc
import LimitEngine
import LimitSystem

/// An open snapshot whose header is sound.
package struct SnapshotReader: ~Copyable {
  package let info: SnapshotInfo
  /// Its size, in bytes, when it was opened.
  package let byteCount: Int

  /// How much of it was read, in bytes.
  private(set) var offset = 0

  private let file: Descriptor
  private var number: UInt64 = 0
  private var records: UInt64 = 0

  package init(_ path: String) throws(SnapshotError) {
    let file = try Self.open(path)
    var status = stat()
    guard fstat(file.number, &status) == 0 else { throw .unreadable(.last()) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile }
    var offset = 0
    let header = try Self.read(file, SnapshotFormat.headerWords, &offset)
    info = try SnapshotFormat.info(header)
    byteCount = Int(status.st_size)
    self.offset = offset
    self.file = file
  }

  private static func open(_ path: String) throws(SnapshotError) -> Descriptor {
    do throws(SystemError) {
      // A FIFO or a device makes nobody wait.
      return try Descriptor(Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY))
    } catch {
      throw .unreadable(error)
    }
  }

  /// So many words from `offset` on, or fewer at the end of the file.
  private static func read(_ file: borrowing Descriptor, _ count: Int, _ offset: inout Int)
    throws(SnapshotError) -> [UInt64]
  {
    var words = [UInt64](repeating: 0, count: count)
    let read: Int
    do throws(SystemError) {
      read = try file.fill(&words, at: offset)
    } catch {
      throw .unreadable(error)
    }
    offset += read
    return read == 8 * count ? words : Array(words[..<(read / 8)])
  }

  /// The next block, its checksum found right, whole; `nil` where the snapshot has come to its end,
  /// and is complete.
  mutating func next() throws(SnapshotError) -> (block: SnapshotFormat.Block, words: [UInt64])? {
    let start = offset
    var words = try Self.read(file, SnapshotFormat.blockHeaderWords, &offset)
    guard let block = SnapshotFormat.block(words, sequence: info.sequence), block.number == number
    else { throw .damaged(offset: start) }
    words += try Self.read(file, block.payloadWords, &offset)
    guard words.count == SnapshotFormat.blockHeaderWords + block.payloadWords,
      SnapshotFormat.isSealed(words)
    else { throw .damaged(offset: start) }
    number += 1
    if block.kind == .buckets { records += UInt64(block.records) }
    guard block.kind == .end else { return (block, words) }
    // Its one word says how many records there are: none is missing.
    guard block.payloadWords == 1, words[SnapshotFormat.blockHeaderWords] == records,
      offset == byteCount, try Self.read(file, 1, &offset).isEmpty
    else { throw .damaged(offset: start) }
    return nil
  }
}

/// What a whole snapshot holds.
package struct SnapshotContents: Sendable {
  package var info: SnapshotInfo
  package var byteCount: Int
  /// Buckets by the identity of their limit; 0: not known.
  package var buckets: [UInt64: Int] = [:]
  /// Names by identity, of limits that were in force.
  package var names: [UInt64: String] = [:]

  package var bucketCount: Int { buckets.values.reduce(0, +) }

  /// Reads a snapshot from its first byte to its last. O(bytes); memory for one block.
  ///
  /// - Parameters:
  ///   - bytesPerTelling: how many are read from one call of `progress` to the next.
  ///   - progress: called with how many bytes are read, and of how many.
  /// - Throws: what is wrong with it.
  package init(
    reading path: String, tellingEvery bytesPerTelling: Int = .max,
    _ progress: (Int, Int) -> Void = { _, _ in }
  ) throws(SnapshotError) {
    var reader = try SnapshotReader(path)
    var told = 0
    info = reader.info
    byteCount = reader.byteCount
    while let (block, words) = try reader.next() {
      if reader.offset - told >= bytesPerTelling {
        told = reader.offset
        progress(told, byteCount)
      }
      switch block.kind {
      case .names:
        guard let found = SnapshotFormat.names(words, block) else { throw .damaged(offset: 0) }
        for (identity, name) in found { names[identity] = name }
      case .buckets:
        // A dictionary is asked where the limit changes, not for each record.
        var (limit, count) = (UInt64(0), 0)
        let isSound = SnapshotFormat.forEachRecord(words, block) { record in
          if record.limit != limit {
            buckets[limit, default: 0] += count
            (limit, count) = (record.limit, 0)
          }
          count += 1
        }
        guard isSound else { throw .damaged(offset: 0) }
        if count > 0 { buckets[limit, default: 0] += count }
      case .end: break
      }
    }
  }
}

/// A snapshot that was read through and found whole.
package struct FoundSnapshot: Sendable {
  package let path: String
  package let contents: SnapshotContents
  package var info: SnapshotInfo { contents.info }
}
