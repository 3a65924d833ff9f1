// Who of the tenants that are counted with others is used so much that it gets counters of its own, under
// which policy: whoever is seen in the samples again and again over some seconds. A value, and a pure function
// of the samples and their time; whoever has the monitor's lock uses it.
//
// Places are never taken back, so they are given slowly, and the slower the fewer are left. A name that is
// used once, or a few times in a moment, gets none, however many such names there are; so who invents names
// must keep each in use as a busy tenant would. Samples show a tenant the more often the more it is used: of
// those that wait for the next place, the busier is the likelier to get it.

import LimitEngine

/// Chooses pairs of tenant and policy.
struct BusyPairs {
  /// Pairs that are remembered: of more, those that were not seen for longest are forgotten.
  static let pairsMax = 8192
  /// In how many of the last 64 seconds a pair is seen before it gets the first place.
  static let secondsMin = 4
  /// After how many places it takes one second more: the last one takes 35.
  static let placesPerSecond = 32
  static let placesMax = CounterRegistry.Claim.use.blocksMax
  /// So many places at once, then one a second.
  static let pace = SuppressingBucket.Bound(burst: 16, period: 1_000_000_000)

  /// In which seconds a pair was seen.
  private struct Sightings {
    /// Bit n: in the second that was n before `last`.
    var seconds: UInt64 = 0
    var last: UInt64 = 0

    mutating func add(_ second: UInt64) {
      // Seconds that are 64 or more ago fall off.
      seconds = seconds << (second - min(second, last)) | 1
      last = max(second, last)
    }
  }

  private var pairs = RecencyTable<Sightings>(capacity: pairsMax)
  private var paced: SuppressingBucket
  private var placesGiven = 0
  /// The same by the block of the policy's other tenants.
  private var placesGivenUnder: [UInt16: Int] = [:]

  /// - Parameter now: CLOCK_BOOTTIME, in ns; likewise below.
  init(at now: UInt64) { paced = SuppressingBucket(Self.pace, at: now) }

  /// Takes note of a tenant that is seen in a sample. O(1).
  ///
  /// - Parameter others: the block of the policy's other tenants, where it was counted.
  /// - Returns: whether it gets counters of its own now; its place is counted as given.
  mutating func isDue(_ tenant: Fingerprint, under others: UInt16, at now: UInt64) -> Bool {
    guard hasPlace(under: others) else { return false }
    let pair = Fingerprint(low: tenant.low &+ UInt64(others), high: tenant.high)
    var seconds = 0
    pairs.update(pair, else: { Sightings() }) {
      $0.add(now / 1_000_000_000)
      seconds = $0.seconds.nonzeroBitCount
    }
    guard seconds >= Self.secondsMin + placesGiven / Self.placesPerSecond,
      paced.take(at: now) != nil
    else { return false }
    placesGiven += 1
    placesGivenUnder[others, default: 0] += 1
    // Loops that do not know of it yet show it with the others once more.
    pairs.update(pair, else: { Sightings() }) { $0.seconds = 0 }
    return true
  }

  /// No policy has more places than it leaves to all others, so that none takes them all; nor does one whose
  /// list of limits changes, since its tenants need places anew then.
  private func hasPlace(under others: UInt16) -> Bool {
    placesGivenUnder[others, default: 0] < Self.placesMax - placesGiven
  }
}
