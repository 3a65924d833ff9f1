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

/// A length of time in its two largest units: `3d 11h`, `10m 0s`, `250ms`.
package func durationText(_ nanoseconds: UInt64) -> String {
  let units: [(length: UInt64, name: String)] = [
    (86_400_000_000_000, "d"), (3_600_000_000_000, "h"), (60_000_000_000, "m"),
    (1_000_000_000, "s"), (1_000_000, "ms"), (1000, "µs"), (1, "ns"),
  ]
  guard let place = units.firstIndex(where: { nanoseconds >= $0.length }) else { return "0s" }
  let (count, rest) = nanoseconds.quotientAndRemainder(dividingBy: units[place].length)
  let text = "\(count)\(units[place].name)"
  guard place + 1 < units.count else { return text }
  let second = rest / units[place + 1].length
  return second == 0 ? text : "\(text) \(second)\(units[place + 1].name)"
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
