// The part that all quantities share: a decimal number followed by letters. Pure.

/// A decimal number without sign, kept exact, and what follows it.
struct Number {
  /// The most digits that are read: with the largest factor (a day in nanoseconds) the product
  /// stays below 2^128.
  private static let digitsMax = 20

  /// The digits without point.
  private var mantissa: UInt128 = 0
  /// How many of the digits come after the point.
  private var decimals = 0
  /// What follows the number.
  private(set) var suffix = ""

  /// Reads `text`, a part of `whole`, which errors quote.
  init(_ text: String, whole: String, what: String, example: String) throws(QuantityError) {
    let malformed = QuantityError("'\(whole)' is not \(what); write one such as \(example)")
    let bytes = Array(text.utf8)
    if let first = bytes.first, first == UInt8(ascii: "-") {
      guard bytes.count > 1, Quantity.isDigit(bytes[1]) else { throw malformed }
      throw QuantityError("'\(whole)' is negative; write \(what) such as \(example)")
    }
    var digits = 0
    var place = 0
    var hasPoint = false
    while place < bytes.count {
      let byte = bytes[place]
      if Quantity.isDigit(byte) {
        digits += 1
        guard digits <= Self.digitsMax else {
          throw QuantityError("'\(whole)' has too many digits; write at most 20")
        }
        mantissa = mantissa * 10 + UInt128(byte - UInt8(ascii: "0"))
        decimals += hasPoint ? 1 : 0
      } else if byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".") {
        // Both stand between digits only, so that a slip such as `1_` is not taken for a number.
        guard place > 0, place + 1 < bytes.count, Quantity.isDigit(bytes[place - 1]),
          Quantity.isDigit(bytes[place + 1]), byte == UInt8(ascii: "_") || !hasPoint
        else { throw malformed }
        hasPoint = hasPoint || byte == UInt8(ascii: ".")
      } else {
        break
      }
      place += 1
    }
    let letters = String(decoding: bytes[place...], as: UTF8.self)
    guard digits > 0, letters.unicodeScalars.allSatisfy({ isLetter($0) }) else { throw malformed }
    // YAML 1.1 reads 010 as eight: refuse what two readers would take for different numbers.
    if bytes[0] == UInt8(ascii: "0"), bytes.count > 1, Quantity.isDigit(bytes[1]) {
      throw QuantityError("'\(whole)' begins with 0; write it without leading zeros")
    }
    suffix = letters
  }

  /// The number times `factor` where that is whole and fits 64 bits; `nil` where it is not whole.
  func scaled(by factor: UInt64) -> UInt128? {
    var divisor: UInt128 = 1
    for _ in 0..<decimals { divisor *= 10 }
    let (quotient, remainder) = (mantissa * UInt128(factor)).quotientAndRemainder(
      dividingBy: divisor
    )
    return remainder == 0 ? quotient : nil
  }

  /// The number times `factor` as a fraction in lowest terms.
  func fraction(times factor: UInt64) -> (numerator: UInt128, denominator: UInt128) {
    var divisor: UInt128 = 1
    for _ in 0..<decimals { divisor *= 10 }
    let product = mantissa * UInt128(factor)
    var (left, right) = (product, divisor)
    while right > 0 { (left, right) = (right, left % right) }
    return left == 0 ? (0, 1) : (product / left, divisor / left)
  }

  /// The number times `factor`, whole and within 64 bits.
  func times(_ factor: UInt64, whole: String, unit: String) throws(QuantityError) -> UInt64 {
    guard let product = scaled(by: factor) else {
      throw QuantityError("'\(whole)' is not a whole number of \(unit); write one that is")
    }
    guard let result = UInt64(exactly: product) else {
      throw QuantityError("'\(whole)' is too large; write at most \(UInt64.max) \(unit)")
    }
    return result
  }
}

/// The letters that units are written with: ASCII, and `µ` as a sign of its own (U+00B5) or as the
/// Greek letter (U+03BC), which look alike.
private func isLetter(_ scalar: Unicode.Scalar) -> Bool {
  switch scalar {
  case "a"..."z", "A"..."Z", "\u{B5}", "\u{3BC}": true
  default: false
  }
}
