// The words of a snapshot: a header, a block of limits' names, blocks of buckets, a last block.
// docs/STATE.md describes them. Pure; any thread.
//
// Every part begins with a checksum over what follows it in that part, and names the snapshot that
// it belongs to: neither damage nor parts of another file pass for a snapshot.

package import LimitEngine
package import LimitSystem

/// What a snapshot's header says.
package struct SnapshotInfo: Hashable, Sendable {
  /// Counts an installation's snapshots; the greater is the newer.
  package var sequence: UInt64
  /// The clocks when it was begun.
  package var clocks: HostClocks
  /// The offset of the engine's clock.
  package var clockOffset: UInt64
  /// `HashKey.check` of the installation.
  package var hashKeyCheck: UInt64
  /// The rules that the buckets' words are written by.
  package var rules: RulesInForce

  package init(
    sequence: UInt64, clocks: HostClocks, clockOffset: UInt64, hashKeyCheck: UInt64,
    rules: RulesInForce
  ) {
    self.rules = rules
    self.sequence = sequence
    self.clocks = clocks
    self.clockOffset = clockOffset
    self.hashKeyCheck = hashKeyCheck
  }
}

/// Why a file is no snapshot to restore from.
package enum SnapshotError: Error, Hashable, Sendable, CustomStringConvertible {
  case unreadable(SystemError)
  case notAFile
  case notASnapshot
  /// Of another release: of the file's own format, or of the records in it.
  case otherVersion(UInt64)
  case otherHashKey
  /// Damaged, cut short, or longer than it should be; near so many bytes from its start.
  case damaged(offset: Int)

  package var description: String {
    switch self {
    case .unreadable(let error): "it cannot be read: \(error)"
    case .notAFile: "it is not a file"
    case .notASnapshot: "it is no snapshot of limitd"
    case .otherVersion(let version):
      "it has version \(RegionLayout.text(ofVersion: version)), and this release reads "
        + RegionLayout.text(ofVersion: SnapshotFormat.version)
    case .otherHashKey: "it belongs to another installation (hash key)"
    case .damaged(let offset): "it is damaged or cut short, near byte \(offset)"
    }
  }
}

package enum SnapshotFormat {
  /// Of this format, above that of the records in it. A region's layout is no part of it: a release
  /// with another one refuses the live state and goes on with a snapshot.
  package static let version: UInt64 = 2 << 32 | BucketRecord.version
  /// "LMTDSNPT" in the order of bytes that everything here has: the machine's own.
  package static let magic: UInt64 = 0x5450_4e53_4454_4d4c
  package static let headerWords = 14
  package static let blockHeaderWords = 5
  /// A block is far smaller.
  static let payloadWordsMax = 1 << 17

  enum Kind: UInt32 { case names = 1, buckets = 2, end = 3 }

  /// What stands before a block's payload.
  struct Block {
    var kind: Kind
    var payloadWords = 0
    var number: UInt64
    var records = 0
    var tenants = 0
    var limits = 0
  }

  // MARK: Header

  static func header(_ info: SnapshotInfo) -> [UInt64] {
    var words: [UInt64] = [
      0, magic, version, info.sequence, info.hashKeyCheck, info.clocks.bootID.low,
      info.clocks.bootID.high, info.clocks.boot, info.clocks.wall, info.clockOffset,
      UInt64(info.rules.generation) | (info.rules.isChanging ? changingBit : 0),
      info.rules.changedAt, info.rules.source, info.rules.formerSource ?? 0,
    ]
    seal(&words)
    return words
  }

  /// - Parameter words: `headerWords` of them, or fewer where the file is that short.
  static func info(_ words: [UInt64]) throws(SnapshotError) -> SnapshotInfo {
    guard words.count >= headerWords, words[1] == magic else { throw .notASnapshot }
    // Before the checksum: another version may have another one.
    guard words[2] == version else { throw .otherVersion(words[2]) }
    guard isSealed(words) else { throw .damaged(offset: 0) }
    return SnapshotInfo(
      sequence: words[3],
      clocks: HostClocks(
        boot: words[7], wall: words[8], bootID: BootID(low: words[5], high: words[6])),
      clockOffset: words[9], hashKeyCheck: words[4], rules: rules(words[10..<14]))
  }

  private static let changingBit: UInt64 = 1 << 32

  private static func rules(_ words: ArraySlice<UInt64>) -> RulesInForce {
    let (word, first) = (words[words.startIndex], words.startIndex)
    let isChanging = word & changingBit != 0
    return RulesInForce(
      generation: UInt32(truncatingIfNeeded: word), isChanging: isChanging,
      changedAt: min(words[first + 1], Instant.max.nanoseconds), source: words[first + 2],
      formerSource: isChanging ? words[first + 3] : nil)
  }

  // MARK: Blocks

  /// Fills in what stands before the payload, which is there already.
  static func finish(_ words: inout [UInt64], as block: Block, sequence: UInt64) {
    words[1] = UInt64(block.kind.rawValue) | UInt64(words.count - blockHeaderWords) << 32
    words[2] = sequence
    words[3] = block.number
    words[4] = UInt64(block.records) | UInt64(block.tenants) << 32 | UInt64(block.limits) << 48
    seal(&words)
  }

  /// Reads what stands before a payload; `nil` where that is nothing that was written.
  static func block(_ words: [UInt64], sequence: UInt64) -> Block? {
    guard words.count >= blockHeaderWords,
      let kind = Kind(rawValue: UInt32(truncatingIfNeeded: words[1])),
      words[1] >> 32 <= UInt64(payloadWordsMax), words[2] == sequence
    else { return nil }
    return Block(
      kind: kind, payloadWords: Int(words[1] >> 32), number: words[3],
      records: Int(words[4] & 0xffff_ffff), tenants: Int(words[4] >> 32 & 0xffff),
      limits: Int(words[4] >> 48))
  }

  // MARK: Checksums

  private static func checksum(_ words: [UInt64]) -> UInt64 {
    words.withUnsafeBytes { Checksum.of(UnsafeRawBufferPointer(rebasing: $0[8...])) }
  }

  private static func seal(_ words: inout [UInt64]) { words[0] = checksum(words) }

  /// Whether a part is as it was written.
  static func isSealed(_ words: [UInt64]) -> Bool { words[0] == checksum(words) }
}
