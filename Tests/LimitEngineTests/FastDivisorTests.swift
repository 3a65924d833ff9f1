// The fast division against the processor's.

import TestSupport
import Testing

@testable import LimitEngine

@Suite struct FastDivisorTests {
  @Test("The quotient is exact for every kind of divisor and dividend")
  func quotientIsExact() {
    var random = SeededGenerator(seed: testSeed)
    let largest: UInt64 = (1 << 62) - 1
    var divisors: [UInt64] = [1, 2, 3, 5, 7, 10, largest, .max, .max - 1]
    for shift in 1..<64 as Range<UInt64> {
      divisors += [1 << shift, (1 << shift) - 1, (1 << shift) + 1, random.next() >> shift | 1]
    }
    for divisor in divisors {
      let fast = FastDivisor(divisor)
      var dividends: [UInt64] = [0, 1, largest, largest - 1]
      for _ in 0..<500 {
        let multiple = divisor &* (random.next() % (largest / divisor + 1))
        dividends += [
          multiple, multiple &- 1, multiple &+ 1, random.next() >> (2 + random.next() % 60),
        ]
      }
      for dividend in dividends where dividend <= largest {
        if fast.quotient(of: dividend) != dividend / divisor {
          Issue.record("seed \(testSeed): \(dividend) / \(divisor)")
          return
        }
      }
    }
  }
}
