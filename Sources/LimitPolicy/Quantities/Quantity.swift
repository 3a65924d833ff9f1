// Numbers as people write them in policy files: counts, durations, rates and percentages.
//
// Pure functions of the text, so that every place which reads a quantity accepts the same ones and
// reports the same errors. `Quantity+Text.swift` is the way back.

public import LimitEngine

/// Why a text is not the quantity that it should be.
public struct QuantityError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What is wrong, and what would be right; begins with the text in quotes.
  public let message: String

  init(_ message: String) { self.message = message }

  public var description: String { message }
}

/// So many units per period, as written: `5/10s` is not `1/2s`, though it is as fast.
public struct Rate: Hashable, Sendable {
  /// The fastest rate: 1e9/s, one unit per nanosecond.
  public static let perSecondMax: UInt64 = 1_000_000_000

  public var count: UInt64
  public var period: Nanoseconds

  public init(count: UInt64, period: Nanoseconds) {
    self.count = count
    self.period = period
  }

  /// Whether the rate is above `perSecondMax`, in exact arithmetic: more units than nanoseconds.
  public var isAboveMax: Bool { count > period.count }

  /// T = ceil(period / count): the whole nanoseconds in which one unit comes back.
  ///
  /// - Precondition: `count` is above 0.
  public var emissionInterval: Nanoseconds {
    let (quotient, remainder) = period.count.quotientAndRemainder(dividingBy: count)
    return Nanoseconds(quotient + (remainder > 0 ? 1 : 0))
  }

  /// By what part of itself the rate falls when T is rounded to whole nanoseconds, exactly:
  /// `lost / of`.
  var roundingLoss: (lost: UInt128, of: UInt128) {
    let rounded = UInt128(emissionInterval.count) * UInt128(count)
    return (rounded - UInt128(period.count), rounded)
  }
}

/// A part of a whole in hundredths of a percent: 80% is 8000.
public struct Percent: Hashable, Sendable {
  public var hundredths: UInt16

  public init(hundredths: UInt16) { self.hundredths = hundredths }

  /// ceil(`whole` × this), at least 1: from how many units on so much is reached.
  public func of(_ whole: UInt64) -> UInt64 {
    let product = UInt128(whole) * UInt128(hundredths)
    return max(1, UInt64((product + 9_999) / 10_000))
  }
}

/// Parsers for the quantities of configuration files.
public enum Quantity {
  /// The units of time, shortest first, with their lengths.
  static let timeUnits: [(name: String, length: Nanoseconds)] = [
    ("ns", Nanoseconds(1)), ("us", .microsecond), ("ms", .millisecond), ("s", .second),
    ("m", .minute), ("h", .hour), ("d", .day),
  ]

  /// Other ways to write a unit of time: `µs`, with either of the two characters for micro.
  private static let otherTimeUnits = ["\u{B5}s": "us", "\u{3BC}s": "us"]

  /// The suffixes of counts: decimal thousands.
  static let countSuffixes: [(name: String, factor: UInt64)] = [
    ("", 1), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000),
  ]

  /// A whole number: digits, `_` between digits, a suffix `k`, `M` or `G` for decimal thousands. A
  /// fraction is accepted where the result is whole: `1.5M`.
  public static func count(_ text: String) throws(QuantityError) -> UInt64 {
    let number = try Number(
      text,
      whole: text,
      what: "a count",
      example: "200, 100_000, 1.5k or 2M"
    )
    guard let suffix = countSuffixes.first(where: { $0.name == number.suffix }) else {
      throw QuantityError("'\(text)' ends in an unknown suffix '\(number.suffix)'; use k, M or G")
    }
    return try number.times(suffix.factor, whole: text, unit: "units")
  }

  /// A length of time: a number, then one of `ns us ms s m h d`, or `µs` for `us`. A fraction is
  /// accepted where the result is whole nanoseconds: `1.5s`.
  public static func duration(_ text: String) throws(QuantityError) -> Nanoseconds {
    try duration(text, whole: text)
  }

  /// A rate: a count, `/`, and a period, which is a unit of time or a duration: `100/s`, `5/10s`.
  ///
  /// Zero is refused, as is more than `Rate.perSecondMax`.
  public static func rate(_ text: String) throws(QuantityError) -> Rate {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 2 else {
      throw QuantityError(
        parts.count < 2
          ? "'\(text)' has no period; write a rate as 100/s, 5000/m or 5/10s"
          : "'\(text)' has more than one '/'; write a rate as 100/s, 5000/m or 5/10s"
      )
    }
    let number = try Number(
      parts[0],
      whole: text,
      what: "a rate",
      example: "100/s, 5000/m or 5/10s"
    )
    guard let suffix = countSuffixes.first(where: { $0.name == number.suffix }) else {
      throw QuantityError(
        "'\(text)' has an unknown suffix '\(number.suffix)' before '/'; use k, M or G"
      )
    }
    let startsWithDigit = parts[1].utf8.first.map { isDigit($0) || $0 == UInt8(ascii: "-") }
    let period = try duration(startsWithDigit == true ? parts[1] : "1" + parts[1], whole: text)
    if let whole = wholeRate(number.fraction(times: suffix.factor), per: period) {
      throw QuantityError(
        "'\(text)' is not a whole number of units; write \(Quantity.text(rate: whole))")
    }
    let count = try number.times(suffix.factor, whole: text, unit: "units")
    guard count > 0 else {
      throw QuantityError(
        "'\(text)' is zero and could never admit anything; write at least 1 per period"
      )
    }
    guard period.count > 0 else {
      throw QuantityError("'\(text)' has a period of zero; write one such as 1s or 10s")
    }
    let rate = Rate(count: count, period: period)
    guard !rate.isAboveMax else {
      throw QuantityError(
        "'\(text)' is above the fastest rate; write at most 1G/s, one per nanosecond"
      )
    }
    return rate
  }

  /// A percentage from 1% to 100%, with up to two decimals.
  public static func percent(_ text: String) throws(QuantityError) -> Percent {
    guard text.hasSuffix("%") else {
      throw QuantityError("'\(text)' is not a percentage; write one such as 80%")
    }
    let number = try Number(
      String(text.dropLast()),
      whole: text,
      what: "a percentage",
      example: "80% or 99.5%"
    )
    guard number.suffix.isEmpty else {
      throw QuantityError("'\(text)' is not a percentage; write one such as 80% or 99.5%")
    }
    guard let hundredths = number.scaled(by: 100) else {
      throw QuantityError("'\(text)' has too many decimals; write at most two, as 99.95%")
    }
    guard (100...10_000).contains(hundredths) else {
      throw QuantityError("'\(text)' is out of range; write 1% to 100%")
    }
    return Percent(hundredths: UInt16(hundredths))
  }

  /// The same rate in whole units, where it has a fraction: 1.5/s is 3/2s.
  private static func wholeRate(
    _ fraction: (numerator: UInt128, denominator: UInt128), per period: Nanoseconds
  ) -> Rate? {
    guard fraction.denominator > 1, let count = UInt64(exactly: fraction.numerator), count > 0
    else {
      return nil
    }
    let (length, isTooLong) = UInt128(period.count)
      .multipliedReportingOverflow(by: fraction.denominator)
    guard !isTooLong, let length = UInt64(exactly: length) else { return nil }
    return Rate(count: count, period: Nanoseconds(length))
  }

  /// Units of time as people write them out, and as they are written here.
  private static let longTimeUnits: [(names: [String], unit: String)] = [
    (["nanosecond", "nanoseconds", "nsec"], "ns"), (["microsecond", "microseconds", "usec"], "us"),
    (["millisecond", "milliseconds", "msec", "msecs"], "ms"),
    (["second", "seconds", "sec", "secs"], "s"),
    (["minute", "minutes", "min", "mins"], "m"),
    (["hour", "hours", "hr", "hrs"], "h"), (["day", "days"], "d"),
  ]

  private static func duration(
    _ text: String,
    whole: String
  ) throws(QuantityError) -> Nanoseconds {
    let number = try Number(text, whole: whole, what: "a duration", example: "500ms, 10s or 1h")
    let name = otherTimeUnits[number.suffix] ?? number.suffix
    if let unit = timeUnits.first(where: { $0.name == name }) {
      return Nanoseconds(try number.times(unit.length.count, whole: whole, unit: "nanoseconds"))
    }
    if let long = longTimeUnits.first(where: { $0.names.contains(name) }) {
      let better = whole.dropLast(number.suffix.utf8.count) + long.unit
      throw QuantityError(
        "'\(whole)' has an unknown unit of time '\(number.suffix)'; write \(better)")
    }
    throw QuantityError(
      number.suffix.isEmpty
        ? "'\(whole)' has no unit of time; write one of ns, us, ms, s, m, h, d, as in 10s"
        : "'\(whole)' has an unknown unit of time '\(number.suffix)'; "
          + "use ns, us, ms, s, m, h or d"
    )
  }

  static func isDigit(_ byte: UInt8) -> Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte }
}
