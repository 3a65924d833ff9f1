// Memory for rows that wait: blocks of bytes, each used again once all rows in it are gone. Rows
// come and go roughly in order, so blocks do too.

/// Holds rows in a compact form. One thread uses an arena.
struct RowArena {
  /// Where a row is.
  struct Place {
    fileprivate let block: UInt32
    fileprivate let offset: UInt32
  }

  static let blockLength = 1 << 18
  /// Line, cost, policy, and where tenant, policy and key end.
  private static let headBytes = 26

  private struct Block {
    var bytes: [UInt8] = []
    var rows = 0
  }

  private var blocks: [Block] = []
  private var free: [Int] = []
  private var current = -1

  /// Bytes of the blocks that hold rows.
  var memoryInUse: Int { (blocks.count - free.count) * Self.blockLength }

  /// Puts a row in. Amortised O(text).
  ///
  /// - Precondition: its text has at most 65,535 bytes.
  mutating func insert(_ row: borrowing TraceRow) -> Place {
    let count = Self.headBytes + row.text.count
    precondition(row.text.count <= Int(UInt16.max), "rows are checked before they wait")
    if current < 0 || blocks[current].bytes.count + count > Self.blockLength { takeBlock() }
    let place = Place(block: UInt32(current), offset: UInt32(blocks[current].bytes.count))
    blocks[current].rows += 1
    Self.append(UInt64(row.line), 8, to: &blocks[current].bytes)
    Self.append(row.cost, 8, to: &blocks[current].bytes)
    Self.append(UInt64(row.policy), 4, to: &blocks[current].bytes)
    Self.append(UInt64(row.tenantRange.upperBound), 2, to: &blocks[current].bytes)
    Self.append(UInt64(row.policyRange.upperBound), 2, to: &blocks[current].bytes)
    Self.append(UInt64(row.text.count), 2, to: &blocks[current].bytes)
    blocks[current].bytes.append(contentsOf: row.text)
    return place
  }

  /// Takes a row out, all but its time.
  mutating func remove(_ place: Place, into row: inout TraceRow) {
    let number = Int(place.block)
    var offset = Int(place.offset)
    func next(_ length: Int) -> UInt64 {
      defer { offset += length }
      return Self.read(blocks[number].bytes, at: offset, length)
    }
    row.line = Int(next(8))
    row.cost = next(8)
    row.policy = Int(next(4))
    let (tenantEnd, policyEnd, count) = (Int(next(2)), Int(next(2)), Int(next(2)))
    row.setText(
      blocks[number].bytes[offset..<offset + count], tenantEnd: tenantEnd, policyEnd: policyEnd)
    blocks[number].rows -= 1
    guard blocks[number].rows == 0 else { return }
    blocks[number].bytes.removeAll(keepingCapacity: true)
    if number != current { free.append(number) }
  }

  private mutating func takeBlock() {
    if let number = free.popLast() {
      current = number
    } else {
      current = blocks.count
      blocks.append(Block())
      blocks[current].bytes.reserveCapacity(Self.blockLength)
    }
  }

  private static func append(_ number: UInt64, _ length: Int, to bytes: inout [UInt8]) {
    for place in 0..<length { bytes.append(UInt8(truncatingIfNeeded: number >> UInt64(8 * place))) }
  }

  private static func read(_ bytes: [UInt8], at offset: Int, _ length: Int) -> UInt64 {
    (0..<length).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
  }
}
