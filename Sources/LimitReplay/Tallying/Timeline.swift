// Admissions and refusals over time, in a fixed number of bins whatever the span of a trace.

import LimitEngine

/// Counts outcomes per bin of time. Bins begin at multiples of their width, a round length of time;
/// when a trace outgrows them the next longer width takes over.
struct Timeline {
  struct Bin: Equatable {
    var admitted = 0
    var denied = 0
    var never = 0

    var refused: Int { denied + never }

    static func += (left: inout Bin, right: Bin) {
      left.admitted += right.admitted
      left.denied += right.denied
      left.never += right.never
    }
  }

  static let binsMax = 4096

  /// Widths in nanoseconds, each a divisor of the next, so that bins merge without a rest.
  static let widths: [UInt64] = {
    let millisecond: UInt64 = 1_000_000
    let second = 1000 * millisecond
    let (minute, hour, day) = (60 * second, 3600 * second, 86_400 * second)
    return [1, 2, 10, 20, 100, 200].map { $0 * millisecond } + [second, 2 * second, 10 * second]
      + [30 * second, minute, 5 * minute, 10 * minute, 30 * minute, hour, 3 * hour, 6 * hour]
      + [12 * hour, day, 2 * day, 4 * day, 8 * day, 16 * day]
  }()

  private(set) var bins: [Bin] = []
  /// The first bin's place: it begins at `firstBin × width`.
  private(set) var firstBin: UInt64 = 0
  /// The times of the first and the last row.
  private(set) var first: UInt64?
  private(set) var last: UInt64 = 0
  private var step = 0
  private let binsMax: Int

  init(binsMax: Int = Self.binsMax) { self.binsMax = binsMax }

  /// The bins' width in nanoseconds.
  var width: UInt64 { Self.widths[step] }

  /// Times never go back.
  mutating func count(_ outcome: Decision.Outcome, at time: UInt64) {
    if first == nil {
      first = time
      firstBin = time / width
    }
    last = time
    while time / width - firstBin >= UInt64(binsMax) { widen() }
    let place = Int(time / width - firstBin)
    while bins.count <= place { bins.append(Bin()) }
    switch outcome {
    case .allow: bins[place].admitted += 1
    case .deny: bins[place].denied += 1
    case .never: bins[place].never += 1
    }
  }

  private mutating func widen() {
    precondition(step + 1 < Self.widths.count, "4096 bins of 16 days span every trace")
    let wider = merged(into: Self.widths[step + 1])
    step += 1
    bins = wider.bins
    firstBin = wider.first
  }

  /// The bins put together to a multiple of their width. O(bins).
  func merged(into length: UInt64) -> (bins: [Bin], first: UInt64) {
    precondition(length % width == 0, "bins merge into multiples of their width")
    let factor = length / width
    let first = firstBin / factor
    var merged: [Bin] = []
    for (offset, bin) in bins.enumerated() {
      let place = Int((firstBin + UInt64(offset)) / factor - first)
      while merged.count <= place { merged.append(Bin()) }
      merged[place] += bin
    }
    return (merged, first)
  }
}
