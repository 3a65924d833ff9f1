// Counts, durations, rates and percentages: what is read, what is refused, and the way back.

import LimitEngine
import LimitPolicy
import Testing

@Suite struct QuantityTests {
  @Test(arguments: [
    ("0", 0), ("7", 7), ("100_000", 100_000), ("5k", 5_000), ("2M", 2_000_000),
    ("3G", 3_000_000_000), ("1.5M", 1_500_000), ("0.5k", 500), ("1_000.25k", 1_000_250),
    ("18446744073709551615", UInt64.max),
  ])
  func countsAreRead(text: String, value: UInt64) throws {
    #expect(try Quantity.count(text) == value)
  }

  @Test(arguments: [
    ("", "'' is not a count; write one such as 200, 100_000, 1.5k or 2M"),
    ("abc", "'abc' is not a count; write one such as 200, 100_000, 1.5k or 2M"),
    ("-5", "'-5' is negative; write a count such as 200, 100_000, 1.5k or 2M"),
    ("-x", "'-x' is not a count; write one such as 200, 100_000, 1.5k or 2M"),
    ("+5", "'+5' is not a count; write one such as 200, 100_000, 1.5k or 2M"),
    ("5 k", "'5 k' is not a count; write one such as 200, 100_000, 1.5k or 2M"),
    ("_5", "'_5' is not a count; write one such as 200, 100_000, 1.5k or 2M"),
    ("5_", "'5_' is not a count; write one such as 200, 100_000, 1.5k or 2M"),
    ("5__0", "'5__0' is not a count; write one such as 200, 100_000, 1.5k or 2M"),
    ("1.2.3", "'1.2.3' is not a count; write one such as 200, 100_000, 1.5k or 2M"),
    ("5.", "'5.' is not a count; write one such as 200, 100_000, 1.5k or 2M"),
    ("5é", "'5é' is not a count; write one such as 200, 100_000, 1.5k or 2M"),
    ("5K", "'5K' ends in an unknown suffix 'K'; use k, M or G"),
    ("1e6", "'1e6' is not a count; write one such as 200, 100_000, 1.5k or 2M"),
    ("010", "'010' begins with 0; write it without leading zeros"),
    ("1.5", "'1.5' is not a whole number of units; write one that is"),
    ("1.0005k", "'1.0005k' is not a whole number of units; write one that is"),
    (
      "18446744073709551616",
      "'18446744073709551616' is too large; write at most 18446744073709551615 units"
    ),
    ("123456789012345678901", "'123456789012345678901' has too many digits; write at most 20"),
  ])
  func otherCountsAreRefused(text: String, message: String) {
    #expect(throws: QuantityError.self) { try Quantity.count(text) }
    #expect(message == refusal { () throws(QuantityError) in _ = try Quantity.count(text) })
  }

  @Test(arguments: [
    ("1ns", 1), ("3us", 3_000), ("50\u{B5}s", 50_000), ("50\u{3BC}s", 50_000),
    ("500ms", 500_000_000), ("10s", 10_000_000_000),
    ("1m", 60_000_000_000), ("2h", 7_200_000_000_000), ("1d", 86_400_000_000_000),
    ("1.5s", 1_500_000_000), ("0s", 0), ("1_000ms", 1_000_000_000),
  ])
  func durationsAreRead(text: String, nanoseconds: UInt64) throws {
    #expect(try Quantity.duration(text) == Nanoseconds(nanoseconds))
  }

  @Test(arguments: [
    ("10", "'10' has no unit of time; write one of ns, us, ms, s, m, h, d, as in 10s"),
    ("10sec", "'10sec' has an unknown unit of time 'sec'; write 10s"),
    ("1M", "'1M' has an unknown unit of time 'M'; use ns, us, ms, s, m, h or d"),
    ("1\u{B5}", "'1\u{B5}' has an unknown unit of time '\u{B5}'; use ns, us, ms, s, m, h or d"),
    ("1és", "'1és' is not a duration; write one such as 500ms, 10s or 1h"),
    ("1m30s", "'1m30s' is not a duration; write one such as 500ms, 10s or 1h"),
    ("s", "'s' is not a duration; write one such as 500ms, 10s or 1h"),
    ("-1s", "'-1s' is negative; write a duration such as 500ms, 10s or 1h"),
    ("0.5ns", "'0.5ns' is not a whole number of nanoseconds; write one that is"),
    (
      "300000d", "'300000d' is too large; write at most 18446744073709551615 nanoseconds"
    ),
  ])
  func otherDurationsAreRefused(text: String, message: String) {
    #expect(message == refusal { () throws(QuantityError) in _ = try Quantity.duration(text) })
  }

  @Test(arguments: [
    ("100/s", 100, 1_000_000_000), ("5/10s", 5, 10_000_000_000), ("5000/m", 5_000, 60_000_000_000),
    ("2M/1h", 2_000_000, 3_600_000_000_000), ("1/ns", 1, 1), ("1/\u{B5}s", 1, 1_000),
    ("1G/s", 1_000_000_000, 1_000_000_000),
    ("1.5k/0.5s", 1_500, 500_000_000), ("2000000000/2s", 2_000_000_000, 2_000_000_000),
  ])
  func ratesAreRead(text: String, count: UInt64, nanoseconds: UInt64) throws {
    #expect(try Quantity.rate(text) == Rate(count: count, period: Nanoseconds(nanoseconds)))
  }

  @Test(arguments: [
    ("100", "'100' has no period; write a rate as 100/s, 5000/m or 5/10s"),
    ("1/s/s", "'1/s/s' has more than one '/'; write a rate as 100/s, 5000/m or 5/10s"),
    ("x/s", "'x/s' is not a rate; write one such as 100/s, 5000/m or 5/10s"),
    ("/s", "'/s' is not a rate; write one such as 100/s, 5000/m or 5/10s"),
    ("5/", "'5/' has no unit of time; write one of ns, us, ms, s, m, h, d, as in 10s"),
    ("5/sec", "'5/sec' has an unknown unit of time 'sec'; write 5/s"),
    ("10/minute", "'10/minute' has an unknown unit of time 'minute'; write 10/m"),
    ("1.5/s", "'1.5/s' is not a whole number of units; write 3/2s"),
    ("0.25/10s", "'0.25/10s' is not a whole number of units; write 1/40s"),
    ("0.3/m", "'0.3/m' is not a whole number of units; write 3/10m"),
    ("5q/s", "'5q/s' has an unknown suffix 'q' before '/'; use k, M or G"),
    ("0/s", "'0/s' is zero and could never admit anything; write at least 1 per period"),
    ("-5/s", "'-5/s' is negative; write a rate such as 100/s, 5000/m or 5/10s"),
    ("5/-1s", "'5/-1s' is negative; write a duration such as 500ms, 10s or 1h"),
    ("5/0s", "'5/0s' has a period of zero; write one such as 1s or 10s"),
    ("5 / s", "'5 / s' is not a rate; write one such as 100/s, 5000/m or 5/10s"),
    (
      "1000000001/s",
      "'1000000001/s' is above the fastest rate; write at most 1G/s, one per nanosecond"
    ),
    (
      "2_000_000_001/2s",
      "'2_000_000_001/2s' is above the fastest rate; write at most 1G/s, one per nanosecond"
    ),
  ])
  func otherRatesAreRefused(text: String, message: String) {
    #expect(message == refusal { () throws(QuantityError) in _ = try Quantity.rate(text) })
  }

  @Test(arguments: [("1%", 100), ("80%", 8_000), ("99.95%", 9_995), ("100%", 10_000)])
  func percentagesAreRead(text: String, hundredths: UInt16) throws {
    #expect(try Quantity.percent(text) == Percent(hundredths: hundredths))
  }

  @Test(arguments: [
    ("80", "'80' is not a percentage; write one such as 80%"),
    ("x%", "'x%' is not a percentage; write one such as 80% or 99.5%"),
    ("8k%", "'8k%' is not a percentage; write one such as 80% or 99.5%"),
    ("0%", "'0%' is out of range; write 1% to 100%"),
    ("101%", "'101%' is out of range; write 1% to 100%"),
    ("0.99%", "'0.99%' is out of range; write 1% to 100%"),
    ("-1%", "'-1%' is negative; write a percentage such as 80% or 99.5%"),
    ("80.001%", "'80.001%' has too many decimals; write at most two, as 99.95%"),
  ])
  func otherPercentagesAreRefused(text: String, message: String) {
    #expect(message == refusal { () throws(QuantityError) in _ = try Quantity.percent(text) })
  }

  @Test func aPercentageOfACapacityIsRoundedUpAndAtLeastOne() {
    #expect(Percent(hundredths: 8_000).of(100) == 80)
    #expect(Percent(hundredths: 8_000).of(8) == 7)
    #expect(Percent(hundredths: 100).of(1) == 1)
    #expect(Percent(hundredths: 10_000).of(1 << 40) == 1 << 40)
    #expect(Percent(hundredths: 9_999).of(1 << 40) == 1_099_401_676_614)
  }

  @Test func quantitiesAreWrittenAsTheyAreRead() throws {
    var generator = SplitMix(state: 0x11D)
    let units: [Nanoseconds] = [Nanoseconds(1), .microsecond, .millisecond, .second, .hour, .day]
    for _ in 0..<20_000 {
      let count = generator.next() >> UInt64.random(in: 0...63, using: &generator)
      #expect(try Quantity.count(Quantity.text(count: count)) == count)
      let unit = units.randomElement(using: &generator)!
      let duration = Nanoseconds(unit.count * UInt64.random(in: 0...10_000, using: &generator))
      #expect(try Quantity.duration(Quantity.text(duration: duration)) == duration)
      let rate = Rate(
        count: UInt64.random(in: 1...unit.count, using: &generator),
        period: Nanoseconds(unit.count * UInt64.random(in: 1...100, using: &generator))
      )
      #expect(try Quantity.rate(Quantity.text(rate: rate)) == rate)
      let percent = Percent(hundredths: .random(in: 100...10_000, using: &generator))
      #expect(try Quantity.percent(Quantity.text(percent: percent)) == percent)
    }
  }

  @Test func quantitiesAreWrittenInTheirShortestForm() {
    #expect(Quantity.text(count: 2000) == "2000")
    #expect(Quantity.text(count: 5_000_000) == "5_000_000")
    #expect(Quantity.text(duration: Nanoseconds(90_000_000_000)) == "90s")
    #expect(Quantity.text(duration: .hour) == "1h")
    #expect(Quantity.text(duration: .zero) == "0s")
    #expect(Quantity.text(rate: Rate(count: 5000, period: .minute)) == "5000/m")
    #expect(Quantity.text(rate: Rate(count: 5, period: Nanoseconds(10_000_000_000))) == "5/10s")
    #expect(Quantity.text(percent: Percent(hundredths: 9_950)) == "99.5%")
    #expect(Quantity.text(effectiveRate: Rate(count: 3, period: .second)) == "2.999999994/s")
  }

  @Test func theEmissionIntervalIsRoundedUp() {
    #expect(Rate(count: 3, period: .second).emissionInterval == Nanoseconds(333_333_334))
    #expect(Rate(count: 4, period: .second).emissionInterval == Nanoseconds(250_000_000))
    #expect(Rate(count: 1_000_000_000, period: .second).emissionInterval == Nanoseconds(1))
  }
}

/// The message of the error that `body` throws; empty where it throws none.
private func refusal(_ body: () throws(QuantityError) -> Void) -> String {
  do throws(QuantityError) {
    try body()
    return ""
  } catch {
    return error.message
  }
}

/// A small generator with a fixed start, so that a failure can be repeated (Steele et al. 2014).
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
