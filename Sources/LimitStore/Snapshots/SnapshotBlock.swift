// A block of buckets: the tenants and limits that its records name, then the records.
//
//     tenant   2 words    its fingerprint
//     limit    1 word     its identity
//     record   3 words, or 4 for a window that has been rolled on
//              word 0     the tag; bit 63: the bucket is a guest's
//              word 1     the current state word
//              word 2     tenant 0–15, limit 16–31, scope 32–39, bit 40: word 3 follows
//              word 3     the previous state word
//
// Tenants and limits by their number in the block, 65,535 for none. Pure; one thread uses a builder.

import LimitEngine

private let none: UInt16 = 0xffff
private let guestBit: UInt64 = 1 << 63
private let previousBit: UInt64 = 1 << 40

/// Gathers records for a block, and is used again for the next.
struct SnapshotBlockBuilder {
  /// With as many records a block is written, at the latest.
  static let recordsMax = 8_192

  private(set) var recordCount = 0
  private var tenants = Numbering()
  private var limits = Numbering()
  private var records: [UInt64] = []
  private var words: [UInt64] = []

  init() {
    records.reserveCapacity(4 * Self.recordsMax)
    words.reserveCapacity(7 * Self.recordsMax + SnapshotFormat.blockHeaderWords)
  }

  /// - Precondition: fewer than `recordsMax` records so far.
  mutating func add(_ record: BucketRecord) {
    precondition(recordCount < Self.recordsMax, "a block has room")
    let tenant = record.tenant.map { tenants.number(of: $0) } ?? none
    let limit =
      record.limit == 0 ? none : limits.number(of: Fingerprint(low: record.limit, high: 0))
    records.append(record.tag | (record.isGuest ? guestBit : 0))
    records.append(record.current)
    let names = UInt64(tenant) | UInt64(limit) << 16 | UInt64(record.scope.rawValue) << 32
    if record.previous == 0 {
      records.append(names)
    } else {
      records.append(names | previousBit)
      records.append(record.previous)
    }
    recordCount += 1
  }

  /// The block as it is to be written; the builder is empty then.
  mutating func finish(number: UInt64, sequence: UInt64) -> [UInt64] {
    words.removeAll(keepingCapacity: true)
    for _ in 0..<SnapshotFormat.blockHeaderWords { words.append(0) }
    for tenant in tenants.names {
      words.append(tenant.low)
      words.append(tenant.high)
    }
    for limit in limits.names { words.append(limit.low) }
    words.append(contentsOf: records)
    SnapshotFormat.finish(
      &words,
      as: SnapshotFormat.Block(
        kind: .buckets, number: number, records: recordCount, tenants: tenants.names.count,
        limits: limits.names.count),
      sequence: sequence)
    recordCount = 0
    tenants.removeAll()
    limits.removeAll()
    records.removeAll(keepingCapacity: true)
    return words
  }
}

/// Numbers names in the order in which they come. A hash table that is never more than half full.
private struct Numbering {
  private static let places = 4 * SnapshotBlockBuilder.recordsMax

  private(set) var names: [Fingerprint] = []
  /// The number of the name that was put there, and one; 0: free.
  private var numbers = [UInt16](repeating: 0, count: places)

  /// Expected O(1).
  mutating func number(of name: Fingerprint) -> UInt16 {
    // Names are hashes already.
    var place = Int(truncatingIfNeeded: name.low) & (Self.places - 1)
    while numbers[place] != 0 {
      let number = numbers[place] - 1
      if names[Int(number)] == name { return number }
      place = (place + 1) & (Self.places - 1)
    }
    names.append(name)
    numbers[place] = UInt16(names.count)
    return UInt16(names.count - 1)
  }

  mutating func removeAll() {
    if names.isEmpty { return }
    names.removeAll(keepingCapacity: true)
    for place in numbers.indices { numbers[place] = 0 }
  }
}

extension SnapshotFormat {
  /// Calls `body` with each record of a block of buckets.
  ///
  /// - Parameter words: the whole block, its checksum found right.
  /// - Returns: whether it is what a builder makes; where not, some records may have been told.
  static func forEachRecord(
    _ words: [UInt64], _ block: Block, _ body: (BucketRecord) -> Void
  ) -> Bool {
    let tenants = blockHeaderWords
    let limits = tenants + 2 * block.tenants
    var place = limits + block.limits
    for _ in 0..<block.records {
      guard place + 3 <= words.count,
        let scope = Scope(rawValue: UInt8(words[place + 2] >> 32 & 0xff))
      else { return false }
      let names = words[place + 2]
      let tenant = UInt16(truncatingIfNeeded: names)
      let limit = UInt16(truncatingIfNeeded: names >> 16)
      let hasPrevious = names & previousBit != 0
      guard tenant == none || tenant < block.tenants, limit == none || limit < block.limits,
        !hasPrevious || place + 4 <= words.count
      else { return false }
      body(
        BucketRecord(
          scope: scope, isGuest: words[place] & guestBit != 0, tag: words[place] & ~guestBit,
          limit: limit == none ? 0 : words[limits + Int(limit)],
          tenant: tenant == none
            ? nil
            : Fingerprint(
              low: words[tenants + 2 * Int(tenant)], high: words[tenants + 2 * Int(tenant) + 1]),
          current: words[place + 1], previous: hasPrevious ? words[place + 3] : 0))
      place += hasPrevious ? 4 : 3
    }
    return place == words.count
  }

  // MARK: Names of limits

  /// A block of the names that limits have, each: identity, length, its bytes filled up with zeros.
  static func names(_ limits: [(identity: UInt64, name: String)], sequence: UInt64) -> [UInt64] {
    var words = [UInt64](repeating: 0, count: blockHeaderWords)
    for (identity, name) in limits {
      let bytes = Array(name.utf8)
      words.append(identity)
      words.append(UInt64(bytes.count))
      for start in stride(from: 0, to: bytes.count, by: 8) {
        let end = min(start + 8, bytes.count)
        words.append(bytes[start..<end].reversed().reduce(0) { $0 << 8 | UInt64($1) })
      }
    }
    let block = Block(kind: .names, number: 0, records: limits.count)
    finish(&words, as: block, sequence: sequence)
    return words
  }

  /// The names in such a block; `nil` where it is none.
  static func names(_ words: [UInt64], _ block: Block) -> [(identity: UInt64, name: String)]? {
    var names: [(UInt64, String)] = []
    var place = blockHeaderWords
    for _ in 0..<block.records {
      guard place + 2 <= words.count, words[place + 1] <= 1024 else { return nil }
      let count = Int(words[place + 1])
      let first = place + 2
      let end = first + (count + 7) / 8
      guard end <= words.count else { return nil }
      let bytes = (0..<count).map {
        UInt8(truncatingIfNeeded: words[first + $0 / 8] >> (8 * ($0 % 8)))
      }
      names.append((words[place], String(decoding: bytes, as: UTF8.self)))
      place = end
    }
    return place == words.count ? names : nil
  }
}
