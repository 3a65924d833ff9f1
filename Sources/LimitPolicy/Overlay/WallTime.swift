// Points of time as people and programs write them: RFC 3339, in UTC. Any thread.

import Glibc

package enum WallTime {
  /// Now, in seconds since 1970.
  package static var now: UInt64 { UInt64(max(0, time(nil))) }

  /// The last second that has such a text: the end of the year 9999.
  package static let secondsMax: UInt64 = 253_402_300_799

  /// `2026-11-26T03:08:28Z`.
  ///
  /// - Parameter seconds: since 1970, at most `secondsMax`.
  package static func text(seconds: UInt64) -> String {
    var (time, parts) = (time_t(min(seconds, secondsMax)), tm())
    gmtime_r(&time, &parts)
    var text = [CChar](repeating: 0, count: 32)
    let count = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
    return String(decoding: text[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
  }

  /// Seconds since 1970 of `2026-11-26T03:08:28Z`, `2026-11-26T04:08+01:00`, or a date alone, which is
  /// its midnight in UTC; `nil` where there is no such time from 1970 on.
  package static func seconds(_ text: String) -> UInt64? {
    var rest = text.utf8[...]
    guard let year = number(&rest, 4), take(&rest, "-"), let month = number(&rest, 2),
      take(&rest, "-"), let day = number(&rest, 2)
    else { return nil }
    var (hour, minute, second, offset) = (0, 0, 0, 0)
    if !rest.isEmpty {
      guard take(&rest, "T"), let hours = number(&rest, 2), take(&rest, ":"),
        let minutes = number(&rest, 2), hours < 24, minutes < 60
      else { return nil }
      (hour, minute) = (hours, minutes)
      if take(&rest, ":") {
        guard let seconds = number(&rest, 2), seconds < 60 else { return nil }
        second = seconds
      }
      guard let zone = zone(&rest), rest.isEmpty else { return nil }
      offset = zone
    }
    var parts = tm()
    (parts.tm_year, parts.tm_mon, parts.tm_mday) = (
      Int32(year - 1900), Int32(month - 1), Int32(day)
    )
    (parts.tm_hour, parts.tm_min, parts.tm_sec) = (Int32(hour), Int32(minute), Int32(second))
    let time = timegm(&parts)
    // timegm(3) makes a day of March of the 31st of February.
    guard parts.tm_mday == Int32(day), parts.tm_mon == Int32(month - 1), time >= offset else {
      return nil
    }
    return UInt64(time - offset)
  }

  /// `Z`, `+01:00`, in seconds.
  private static func zone(_ rest: inout Substring.UTF8View) -> Int? {
    if take(&rest, "Z") { return 0 }
    let sign = take(&rest, "+") ? 1 : take(&rest, "-") ? -1 : 0
    guard sign != 0, let hours = number(&rest, 2), take(&rest, ":"), let minutes = number(&rest, 2),
      hours < 24, minutes < 60
    else { return nil }
    return sign * (hours * 3600 + minutes * 60)
  }

  private static func take(_ rest: inout Substring.UTF8View, _ character: Unicode.Scalar) -> Bool {
    guard rest.first == UInt8(ascii: character) else { return false }
    rest = rest.dropFirst()
    return true
  }

  private static func number(_ rest: inout Substring.UTF8View, _ count: Int) -> Int? {
    let digits = rest.prefix(count)
    guard digits.count == count,
      digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 })
    else { return nil }
    rest = rest.dropFirst(count)
    return digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
  }
}
