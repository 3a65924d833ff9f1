// Times as traces write them, to the nanosecond.

import LimitConsole
import TestSupport
import Testing

@testable import LimitReplay

private func time(_ text: String) -> UInt64? {
  let bytes = Array(text.utf8)
  return try? TraceTime.parse(bytes, 0..<bytes.count)
}

private func logTime(_ text: String) -> UInt64? {
  let bytes = Array(text.utf8)
  return try? TraceTime.parseLogTime(bytes, 0..<bytes.count)
}

@Suite struct FinerTimeTests {
  private func time(_ text: String) -> UInt64? {
    let bytes = Array(text.utf8)
    return try? TraceTime.parse(bytes, 0..<bytes.count)
  }

  @Test func millisecondsMicrosecondsAndNanosecondsAreToldByTheirSize() {
    let expected: UInt64 = 1_700_158_546_250_000_000
    for text in ["1700158546.25", "1700158546250", "1700158546250000", "1700158546250000000"] {
      #expect(time(text) == expected, "\(text)")
    }
    #expect(time("1700158546250.5") == expected + 500_000)
    #expect(time("1700158546250.0000001") == nil)
    #expect(time("99999999999") == nil)
  }
}

@Suite struct TraceTimeTests {
  @Test func unixSecondsHaveUpToNineDecimals() {
    #expect(time("0") == 0)
    #expect(time("1700158546") == 1_700_158_546_000_000_000)
    #expect(time("1700158546.68059") == 1_700_158_546_680_590_000)
    #expect(time("1700158546.123456789") == 1_700_158_546_123_456_789)
    #expect(time("0.000000001") == 1)
    #expect(time("1700158546.1234567890") == nil)
    #expect(time("1700158546.") == nil)
    #expect(time(".5") == nil)
    #expect(time("1e9") == nil)
    #expect(time("") == nil)
    #expect(time(" 1") == nil)
    #expect(time("99999999999999999999999") == nil)
  }

  /// Seconds from `date -u -d … +%s`.
  @Test func rfc3339IsReadWithItsZone() {
    #expect(time("1970-01-01T00:00:00Z") == 0)
    #expect(time("2023-11-16T18:15:46.68059Z") == 1_700_158_546_680_590_000)
    #expect(time("2023-11-16t19:15:46.68059+01:00") == 1_700_158_546_680_590_000)
    #expect(time("2023-11-16T12:45:46-05:30") == 1_700_158_546_000_000_000)
    #expect(time("2023-11-16 18:15:46.6805900") == 1_700_158_546_680_590_000)
    #expect(time("2024-02-29T23:59:59z") == 1_709_251_199_000_000_000)
    #expect(time("2000-02-29T00:00:00Z") == 951_782_400_000_000_000)
    #expect(time("2016-12-31T23:59:60Z") == 1_483_228_800_000_000_000)
    #expect(time("2100-03-01T00:00:00Z") == 4_107_542_400_000_000_000)
  }

  @Test(arguments: [
    "2023-02-29T00:00:00Z", "2023-13-01T00:00:00Z", "2023-00-01T00:00:00Z",
    "2023-01-32T00:00:00Z", "2100-02-29T00:00:00Z", "2023-11-16T24:00:00Z",
    "2023-11-16T18:60:00Z", "2023-11-16T18:15:61Z", "2023-11-16T18:15Z", "2023-11-16",
    "2023-11-16T18:15:46.1234567891Z", "2023-11-16T18:15:46.Z", "2023-11-16T18:15:46+1:00",
    "2023-11-16T18:15:46Zx", "2023-11-16_18:15:46Z", "20231116T181546Z",
  ])
  func whatIsNoTimeIsRefused(text: String) {
    #expect(time(text) == nil)
  }

  @Test func timesLieBetween1970And2116() {
    let latest = (UInt64(1) << 62) - 1
    #expect(time("4611686018.427387903") == latest)
    #expect(time("4611686018.427387904") == nil)
    #expect(time("-1") == nil)
    #expect(time("1969-12-31T23:59:59.999999999Z") == nil)
    #expect(time("1970-01-01T00:30:00+01:00") == nil)
    #expect(time("9999-12-31T23:59:59Z") == nil)
    #expect(
      throws: Malformed("the time is out of range; replay reads times from 1970 to the year 2116")
    ) {
      try TraceTime.parse(Array("-1".utf8), 0..<2)
    }
  }

  @Test func logTimesAreReadWithTheirZone() {
    #expect(logTime("17/May/2015:10:05:03 +0000") == 1_431_857_103_000_000_000)
    #expect(logTime("17/May/2015:12:05:03 +0200") == 1_431_857_103_000_000_000)
    #expect(logTime("17/May/2015:06:35:03 -0330") == 1_431_857_103_000_000_000)
    #expect(logTime("17/Mai/2015:10:05:03 +0000") == nil)
    #expect(logTime("17/May/2015:10:05:03") == nil)
    #expect(logTime("17/May/2015") == nil)
  }

  @Test func timesAreWrittenAsTheyAreRead() {
    let seed: UInt64 = 3
    var generator = SeededGenerator(seed: seed)
    for _ in 0..<20_000 {
      let nanoseconds = UInt64.random(in: 0..<1 << 62, using: &generator)
      #expect(time(CalendarTime(nanoseconds).rfc3339) == nanoseconds, "seed \(seed)")
      var output = Output(to: nil)
      output.append(seconds: nanoseconds)
      #expect(time(String(decoding: output.bytes, as: UTF8.self)) == nanoseconds, "seed \(seed)")
    }
  }
}
