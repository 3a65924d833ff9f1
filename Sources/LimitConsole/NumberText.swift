// Numbers and times as people read them.

/// `1234567` as `1,234,567`.
package func grouped(_ number: some BinaryInteger) -> String {
  let digits = String(number)
  var text = ""
  for (place, digit) in digits.enumerated() {
    if place > 0, (digits.count - place) % 3 == 0, digit.isNumber, text != "-" { text.append(",") }
    text.append(digit)
  }
  return text
}

/// `1 field`, `2 fields`.
package func counted(_ count: Int, _ noun: String) -> String {
  "\(grouped(count)) \(noun)\(count == 1 ? "" : "s")"
}

/// Seconds with as many decimals as are needed: `3.2`, `60`.
package func seconds(_ nanoseconds: UInt64) -> String {
  let (whole, fraction) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
  guard fraction > 0 else { return String(whole) }
  var decimals = String(String(fraction + 1_000_000_000).dropFirst())
  while decimals.last == "0" { decimals.removeLast() }
  return "\(whole).\(decimals)"
}

/// `86.7 %`, rounded half up in integers; `<0.1 %` where it would read as none.
package func percentage(_ part: Int, of whole: Int) -> String {
  guard whole > 0 else { return "–" }
  let thousandths = (2000 * part + whole) / (2 * whole)
  if thousandths == 0, part > 0 { return "<0.1 %" }
  if thousandths == 1000, part < whole { return "99.9 %" }
  return "\(thousandths / 10).\(thousandths % 10) %"
}

private let timeUnits: [(length: UInt64, name: String)] = [
  (86_400_000_000_000, "d"), (3_600_000_000_000, "h"), (60_000_000_000, "m"),
  (1_000_000_000, "s"), (1_000_000, "ms"), (1000, "µs"), (1, "ns"),
]

/// A length of time in its two largest units, one below a millisecond, rounded up: who waits for
/// that long does not come too early. `3d 11h`, `10m`, `250ms`, `58µs`.
package func durationText(_ nanoseconds: UInt64) -> String {
  guard let first = timeUnits.firstIndex(where: { nanoseconds >= $0.length }) else { return "0s" }
  let isFine = timeUnits[first].length < 1_000_000
  let grain = timeUnits[isFine ? first : first + 1].length
  let (steps, rest) = nanoseconds.quotientAndRemainder(dividingBy: grain)
  let (rounded, isTooLong) = (steps + (rest > 0 ? 1 : 0)).multipliedReportingOverflow(by: grain)
  guard !isTooLong else { return "\(nanoseconds / timeUnits[0].length)d" }
  // Rounding may have carried into a larger unit.
  let place = timeUnits.firstIndex { rounded >= $0.length }!
  let (count, part) = rounded.quotientAndRemainder(dividingBy: timeUnits[place].length)
  let text = "\(count)\(timeUnits[place].name)"
  guard place + 1 < timeUnits.count else { return text }
  let second = part / timeUnits[place + 1].length
  return second == 0 ? text : "\(text) \(second)\(timeUnits[place + 1].name)"
}

/// A latency in one unit, to three digits: `57.2µs`, `1.04ms`, `12s`.
package func latencyText(_ nanoseconds: UInt64) -> String {
  let units: [(length: UInt64, name: String)] = [
    (1_000_000_000, "s"), (1_000_000, "ms"), (1000, "µs"), (1, "ns"),
  ]
  guard let unit = units.first(where: { nanoseconds >= $0.length }) else { return "0ns" }
  let whole = nanoseconds / unit.length
  let decimals = unit.length == 1 || whole >= 100 ? 0 : whole >= 10 ? 1 : 2
  let scale: UInt64 = decimals == 2 ? 100 : decimals == 1 ? 10 : 1
  let scaled = (UInt128(nanoseconds) * UInt128(scale) + UInt128(unit.length) / 2)
  let (integer, fraction) = (scaled / UInt128(unit.length)).quotientAndRemainder(
    dividingBy: UInt128(scale))
  guard decimals > 0, fraction > 0 else { return "\(integer)\(unit.name)" }
  var digits = String(fraction)
  digits = String(repeating: "0", count: decimals - digits.count) + digits
  while digits.last == "0" { digits.removeLast() }
  return "\(integer).\(digits)\(unit.name)"
}

/// A point in time, UTC, taken apart.
package struct CalendarTime {
  package let date: String
  package let hour: Int
  package let minute: Int
  package let second: Int
  package let billionths: UInt64

  /// - Parameter nanoseconds: Unix time.
  package init(_ nanoseconds: UInt64) {
    let (total, rest) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    billionths = rest
    let secondOfDay = Int(total % 86_400)
    (hour, minute, second) = (secondOfDay / 3600, secondOfDay / 60 % 60, secondOfDay % 60)
    // Days since 0000-03-01, in eras of 400 years: the reverse of `secondsToMidnight`.
    let days = Int(total / 86_400) + 719_468
    let (era, dayOfEra) = days.quotientAndRemainder(dividingBy: 146_097)
    let yearOfEra =
      (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    let day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
    date = "\(year)-\(Self.two(month))-\(Self.two(day))"
  }

  package var time: String { "\(Self.two(hour)):\(Self.two(minute)):\(Self.two(second))" }

  /// RFC 3339 with nine decimals.
  package var rfc3339: String {
    let decimals = String(billionths + 1_000_000_000).dropFirst()
    return "\(date)T\(time).\(decimals)Z"
  }

  static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
