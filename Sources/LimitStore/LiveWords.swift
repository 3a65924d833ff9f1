// What the store keeps in the words that a region's header has for it.
//
//     word 0, 1  the boot that the region is of        2  the clock's offset        3  checksum

import LimitEngine

/// Which clock a live region was used with.
struct LiveWords: Equatable {
  var bootID: BootID
  /// `EngineClock`'s, in ns modulo 2^64.
  var clockOffset: UInt64

  private var checksum: UInt64 {
    var words = (bootID.low, bootID.high, clockOffset)
    return withUnsafeBytes(of: &words) { Checksum.of($0) }
  }

  /// Before anybody uses the region.
  func store(in region: borrowing EngineRegion) {
    for (number, word) in [bootID.low, bootID.high, clockOffset, checksum].enumerated() {
      region.setStoreWord(number, to: word)
    }
  }

  init(bootID: BootID, clockOffset: UInt64) {
    self.bootID = bootID
    self.clockOffset = clockOffset
  }

  /// `nil` where they are not as they were stored.
  init?(in region: borrowing EngineRegion) {
    self.init(
      bootID: BootID(low: region.storeWord(0), high: region.storeWord(1)),
      clockOffset: region.storeWord(2))
    guard region.storeWord(3) == checksum else { return nil }
  }
}
