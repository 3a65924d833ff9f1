// Quantities written out again, in the form that the parsers read. Pure functions.

public import LimitEngine

extension Quantity {
  /// Digits, from five on in groups of three: `2000`, `100_000`.
  public static func text(count: UInt64) -> String {
    let digits = String(count)
    guard digits.count > 4 else { return digits }
    var text = ""
    for (place, digit) in digits.enumerated() {
      if place > 0, (digits.count - place).isMultiple(of: 3) { text.append("_") }
      text.append(digit)
    }
    return text
  }

  /// In the longest unit that divides it: `1m`, `90s`, `500ms`.
  public static func text(duration: Nanoseconds) -> String {
    guard duration.count > 0 else { return "0s" }
    let unit = timeUnits.last { duration.count.isMultiple(of: $0.length.count) }!
    return text(count: duration.count / unit.length.count) + unit.name
  }

  /// `100/s`, `5/10s`.
  public static func text(rate: Rate) -> String {
    let period = text(duration: rate.period)
    let isOneUnit = timeUnits.contains { $0.length == rate.period }
    return text(count: rate.count) + "/" + (isOneUnit ? String(period.dropFirst()) : period)
  }

  /// `80%`, `99.5%`.
  public static func text(percent: Percent) -> String {
    decimal(UInt128(percent.hundredths), decimals: 2) + "%"
  }

  /// What a rate is once T is whole nanoseconds, per second, with up to nine decimals (rounded
  /// down): `333.333333222/s`.
  public static func text(effectiveRate rate: Rate) -> String {
    let interval = UInt128(rate.emissionInterval.count)
    let billionths = UInt128(1_000_000_000) * 1_000_000_000 / interval
    return decimal(billionths, decimals: 9) + "/s"
  }

  /// `value` / 10^decimals without trailing zeros.
  static func decimal(_ value: UInt128, decimals: Int) -> String {
    var digits = String(value)
    digits = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
    let whole = digits.dropLast(decimals)
    var fraction = digits.suffix(decimals)
    while fraction.last == "0" { fraction.removeLast() }
    let grouped = UInt64(whole).map { text(count: $0) } ?? String(whole)
    return grouped + (fraction.isEmpty ? "" : "." + fraction)
  }
}
