// The times that traces carry, read exactly: whole nanoseconds since 1970, no floating point.
//
// - Unix seconds: `1700158546`, `1700158546.680590000`; milliseconds (13 digits), microseconds (16) and
//   nanoseconds (19) since 1970 are told by their size
// - RFC 3339: `2023-11-16T18:15:46.68059Z`, `2023-11-16 19:15:46+01:00`; without a zone it is UTC
// - access logs: `17/May/2015:10:05:03 +0000`

import LimitConsole

/// Reads and takes apart points in time.
enum TraceTime {
  static let nanosecondsPerSecond: UInt64 = 1_000_000_000

  static let expectation =
    "a time is Unix seconds with up to nine decimals (1700158546.25), milliseconds "
    + "(1700158546250) or RFC 3339 (2023-11-16T18:15:46.25Z)"

  /// Reads Unix seconds or RFC 3339.
  static func parse(_ text: [UInt8], _ range: Range<Int>) throws(Malformed) -> UInt64 {
    var cursor = ByteCursor(text, range)
    let time =
      range.count > 4 && text[range.lowerBound + 4] == UInt8(ascii: "-")
      ? calendarTime(&cursor) : unixTime(&cursor)
    guard let time, cursor.isAtEnd else {
      throw Malformed("cannot read the time '\(readable(text[range]))'; \(expectation)")
    }
    return try inRange(time)
  }

  /// Reads an access log's time: `17/May/2015:10:05:03 +0000`, or RFC 3339 as `$time_iso8601` has it.
  static func parseLogTime(_ text: [UInt8], _ range: Range<Int>) throws(Malformed) -> UInt64 {
    var cursor = ByteCursor(text, range)
    let isCalendar = range.count > 4 && text[range.lowerBound + 4] == UInt8(ascii: "-")
    let time = isCalendar ? calendarTime(&cursor) : logTime(&cursor)
    guard let time, cursor.isAtEnd else {
      throw Malformed(
        "cannot read the time '\(readable(text[range]))'; an access log has "
          + "[17/May/2015:10:05:03 +0000] or [2015-05-17T10:05:03+00:00]"
      )
    }
    return try inRange(time)
  }

  /// A time as read: seconds may be negative before 1970, billionths never are.
  private typealias Reading = (seconds: Int, billionths: UInt64)

  private static func inRange(_ time: Reading) throws(Malformed) -> UInt64 {
    guard (0..<1 << 33).contains(time.seconds) else { throw outOfRange }
    let nanoseconds = UInt64(time.seconds) * nanosecondsPerSecond + time.billionths
    guard nanoseconds < 1 << 62 else { throw outOfRange }
    return nanoseconds
  }

  private static var outOfRange: Malformed {
    Malformed("the time is out of range; replay reads times from 1970 to the year 2116")
  }

  /// Units finer than a second, told by their size: a time to 2116 in one of them is larger than any
  /// in the unit before it.
  private static let finerUnits: [(range: Range<UInt64>, perSecond: UInt64)] = [
    (100_000_000_000..<(1 << 33) * 1000, 1000),
    (100_000_000_000_000..<(1 << 33) * 1_000_000, 1_000_000),
    (100_000_000_000_000_000..<1 << 62, 1_000_000_000),
  ]

  @inline(__always)
  private static func unixTime(_ cursor: inout ByteCursor) -> Reading? {
    let isNegative = cursor.take(UInt8(ascii: "-"))
    guard let number = cursor.number(), number < 1 << 62 else { return nil }
    if number >= 1 << 33, !isNegative, let finer = finerTime(number, &cursor) { return finer }
    guard let billionths = fraction(&cursor) else { return nil }
    return (isNegative ? -1 - Int(number) : Int(number), billionths)
  }

  /// A number of milliseconds, microseconds or nanoseconds, with decimals down to nanoseconds.
  private static func finerTime(_ number: UInt64, _ cursor: inout ByteCursor) -> Reading? {
    guard let unit = finerUnits.first(where: { $0.range.contains(number) }) else { return nil }
    let (seconds, rest) = number.quotientAndRemainder(dividingBy: unit.perSecond)
    let length = nanosecondsPerSecond / unit.perSecond
    guard let decimals = fraction(&cursor) else { return nil }
    let (part, lost) = (decimals * length).quotientAndRemainder(dividingBy: nanosecondsPerSecond)
    guard lost == 0 else { return nil }
    return (Int(seconds), rest * length + part)
  }

  private static func calendarTime(_ cursor: inout ByteCursor) -> Reading? {
    let dash = UInt8(ascii: "-")
    guard let year = cursor.digits(4), cursor.take(dash), let month = cursor.digits(2),
      cursor.take(dash), let day = cursor.digits(2), cursor.take(anyOf: "Tt ") != nil,
      let midnight = secondsToMidnight(year: year, month: month, day: day),
      let seconds = timeOfDay(&cursor), let billionths = fraction(&cursor)
    else { return nil }
    if cursor.isAtEnd || cursor.take(anyOf: "Zz") != nil {
      return (midnight + seconds, billionths)
    }
    guard let offset = zoneOffset(&cursor, hasColon: true) else { return nil }
    return (midnight + seconds - offset, billionths)
  }

  private static func logTime(_ cursor: inout ByteCursor) -> Reading? {
    let slash = UInt8(ascii: "/")
    guard let day = cursor.digits(2), cursor.take(slash), let month = monthName(&cursor),
      cursor.take(slash), let year = cursor.digits(4), cursor.take(UInt8(ascii: ":")),
      let midnight = secondsToMidnight(year: year, month: month, day: day),
      let seconds = timeOfDay(&cursor), cursor.take(Ascii.space),
      let offset = zoneOffset(&cursor, hasColon: false)
    else { return nil }
    return (midnight + seconds - offset, 0)
  }

  /// `.25`, or nothing.
  @inline(__always)
  private static func fraction(_ cursor: inout ByteCursor) -> UInt64? {
    cursor.take(UInt8(ascii: ".")) ? cursor.billionths() : 0
  }

  /// `18:15:46`. A leap second (`:60`) is the second that follows it, as in Unix time.
  private static func timeOfDay(_ cursor: inout ByteCursor) -> Int? {
    let colon = UInt8(ascii: ":")
    guard let hour = cursor.digits(2), hour < 24, cursor.take(colon),
      let minute = cursor.digits(2), minute < 60, cursor.take(colon),
      let second = cursor.digits(2), second <= 60
    else { return nil }
    return hour * 3600 + minute * 60 + second
  }

  /// `+01:00` or `+0100`, in seconds.
  private static func zoneOffset(_ cursor: inout ByteCursor, hasColon: Bool) -> Int? {
    guard let sign = cursor.take(anyOf: "+-"), let hours = cursor.digits(2), hours < 24,
      !hasColon || cursor.take(UInt8(ascii: ":")), let minutes = cursor.digits(2), minutes < 60
    else { return nil }
    let offset = hours * 3600 + minutes * 60
    return sign == UInt8(ascii: "-") ? -offset : offset
  }

  private static func monthName(_ cursor: inout ByteCursor) -> Int? {
    var name = ""
    for _ in 0..<3 {
      guard let byte = cursor.next else { return nil }
      name.unicodeScalars.append(Unicode.Scalar(byte))
      cursor.advance()
    }
    return monthNames.firstIndex(of: name).map { $0 + 1 }
  }

  private static let monthNames = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
  ]

  /// Seconds from 1970 to the start of a day of the Gregorian calendar; `nil` for no such day.
  static func secondsToMidnight(year: Int, month: Int, day: Int) -> Int? {
    let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    let lengths = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    guard (1...12).contains(month), (1...lengths[month - 1]).contains(day) else { return nil }
    // Years counted from March put the leap day last, where it moves no month.
    let marchYear = month > 2 ? year : year - 1
    let leapDays = marchYear / 4 - marchYear / 100 + marchYear / 400
    let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
    return (marchYear * 365 + leapDays + dayOfYear - 719_468) * 86_400
  }
}

/// Text of a trace for a message: cut to 60 bytes, control characters made visible.
func readable(_ text: ArraySlice<UInt8>) -> String {
  let cut = String(decoding: text.prefix(60), as: UTF8.self)
  return visible(cut) + (text.count > 60 ? "…" : "")
}
