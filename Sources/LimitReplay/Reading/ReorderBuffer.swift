// Puts rows in order that come a little out of order, as those of access logs do: a server writes
// a line when a request ends, with the time at which it began.

import LimitConsole

/// Holds rows back until no earlier one may come, at most `horizon` of trace time.
///
/// A binary heap by time; rows of one time keep the order they came in. Insert and remove are
/// O(log rows).
struct ReorderBuffer {
  /// The most rows held back, and the most bytes of their text. What would be beyond goes out
  /// early, the oldest first.
  static let rowsMax = 1_000_000
  static let bytesMax = 128 << 20

  /// For how long a row may be late, in nanoseconds.
  let horizon: UInt64
  private let rowsMax: Int
  private var heap: [(sequence: UInt64, row: TraceRow)] = []
  private var bytes = 0
  private var sequence: UInt64 = 0
  private var newest: UInt64 = 0
  private var released: UInt64 = 0
  private var isDraining = false

  init(horizon: UInt64, rowsMax: Int = Self.rowsMax) {
    self.horizon = horizon
    self.rowsMax = rowsMax
  }

  /// Whether a row of that time still finds its place, and if not, why.
  mutating func admit(_ time: UInt64) throws(Malformed) {
    newest = max(newest, time)
    let late = newest - time
    guard late > horizon || time < released else { return }
    let back = "the time goes back by \(seconds(late)) s"
    if horizon == 0 {
      throw Malformed("\(back); rows come in order of time, or sort them with --reorder DURATION")
    }
    if late > horizon { throw Malformed("\(back), more than --reorder allows") }
    throw Malformed("\(back), more than the \(grouped(rowsMax)) rows that --reorder holds back")
  }

  mutating func insert(_ row: TraceRow) {
    heap.append((sequence, row))
    sequence += 1
    bytes += row.text.count
    var child = heap.count - 1
    while child > 0, precedes(child, (child - 1) / 2) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// From here on, every row goes out.
  mutating func drain() { isDraining = true }

  /// The earliest row, if nothing may come before it any more.
  mutating func next() -> TraceRow? {
    guard let first = heap.first else { return nil }
    let isFull = heap.count > rowsMax || bytes > Self.bytesMax
    guard isDraining || isFull || newest - first.row.time >= horizon else { return nil }
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
    bytes -= first.row.text.count
    released = first.row.time
    return first.row
  }

  private func precedes(_ left: Int, _ right: Int) -> Bool {
    (heap[left].row.time, heap[left].sequence) < (heap[right].row.time, heap[right].sequence)
  }
}
