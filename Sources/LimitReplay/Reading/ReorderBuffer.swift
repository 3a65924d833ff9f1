// Puts rows in order that come a little out of order, as those of access logs do: a server writes
// a line when a request ends, with the time at which it began.

import LimitConsole
import LimitEngine
import LimitPolicy

/// Holds rows back until no earlier one may come, at most `horizon` of trace time.
///
/// A binary heap by time over rows in an arena; rows of one time keep the order they came in. Insert
/// and remove are O(log rows). Memory: 50 bytes and its text for each row that waits, at most
/// `memoryMax`; what would be beyond goes out early, the oldest first.
struct ReorderBuffer {
  /// For how long a row may be late, in nanoseconds.
  var horizon: UInt64
  /// In bytes.
  private let memoryMax: Int
  private var heap: [Entry] = []
  private var arena = RowArena()
  private var sequence: UInt64 = 0
  private var newest: UInt64 = 0
  private var released: UInt64 = 0
  private var isDraining = false

  private struct Entry {
    let time: UInt64
    let sequence: UInt64
    let place: RowArena.Place
  }

  init(horizon: UInt64, memoryMax: Int = ReplayOptions.reorderMemoryDefault) {
    self.horizon = horizon
    self.memoryMax = memoryMax
  }

  /// Bytes that rows take while they wait.
  var memory: Int { heap.count * MemoryLayout<Entry>.stride + arena.memoryInUse }

  /// Whether a row of that time still finds its place, and if not, why and what would do.
  mutating func admit(_ time: UInt64) throws(Malformed) {
    newest = max(newest, time)
    let late = newest - time
    guard late > horizon || time < released else { return }
    let back = "the time goes back by \(seconds(late)) s"
    let enough = Quantity.text(duration: Nanoseconds(late.roundedUp(to: 1_000_000_000)))
    if horizon == 0 {
      throw Malformed("\(back); rows come in order of time, or sort them with --reorder \(enough)")
    }
    if late > horizon {
      throw Malformed("\(back), more than --reorder allows; --reorder \(enough) would do")
    }
    throw Malformed(
      "\(back); --reorder-memory \(Self.text(bytes: memoryMax)) holds the last "
        + "\(durationText(newest - released)) of this trace; --reorder-memory "
        + "\(Self.text(bytes: memoryNeeded(for: late))) would do")
  }

  /// What it would take to hold rows for that long, at the rate of those that wait now.
  private func memoryNeeded(for length: UInt64) -> Int {
    let held = max(1, newest - released)
    let needed = Double(memoryMax) * Double(length) / Double(held) * 1.25
    return Int(min(needed, 1e15))
  }

  /// In whole megabytes, rounded up.
  private static func text(bytes: Int) -> String {
    "\((bytes + 999_999) / 1_000_000)M"
  }

  mutating func insert(_ row: borrowing TraceRow) {
    if heap.count == heap.capacity {
      heap.reserveCapacity(heap.count + max(1024, heap.count / 4))
    }
    heap.append(Entry(time: row.time, sequence: sequence, place: arena.insert(row)))
    sequence += 1
    var child = heap.count - 1
    while child > 0, precedes(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// From here on, every row goes out.
  mutating func drain() { isDraining = true }

  /// Takes the earliest row, if nothing may come before it any more.
  ///
  /// - Returns: whether there was one.
  mutating func next(into row: inout TraceRow) -> Bool {
    guard let first = heap.first else { return false }
    guard isDraining || memory > memoryMax || newest - first.time >= horizon else { return false }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while 2 * parent + 1 < heap.count {
      var child = 2 * parent + 1
      if child + 1 < heap.count, precedes(child + 1, child) { child += 1 }
      guard precedes(child, parent) else { break }
      heap.swapAt(child, parent)
      parent = child
    }
    arena.remove(first.place, into: &row)
    row.time = first.time
    released = first.time
    return true
  }

  private func precedes(_ left: Int, _ right: Int) -> Bool {
    (heap[left].time, heap[left].sequence) < (heap[right].time, heap[right].sequence)
  }
}

extension UInt64 {
  /// The next multiple of `unit`.
  func roundedUp(to unit: UInt64) -> UInt64 { (self + unit - 1) / unit * unit }
}
