// A place in a piece of text, for the small parsers: times, numbers, log fields.

/// Reads bytes of an array from left to right. A value type; safe on any input.
struct ByteCursor {
  private let bytes: [UInt8]
  private(set) var position: Int
  private let end: Int

  init(_ bytes: [UInt8], _ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.count)
    self.bytes = bytes
    position = range.lowerBound
    end = range.upperBound
  }

  init(_ slice: ArraySlice<UInt8>) {
    self.init(Array(slice), 0..<slice.count)
  }

  var isAtEnd: Bool { position == end }

  /// The next byte, without taking it.
  @inline(__always)
  var next: UInt8? { position < end ? bytes[position] : nil }

  @inline(__always)
  mutating func advance() { position += 1 }

  /// Takes `byte` if it is next.
  @inline(__always)
  mutating func take(_ byte: UInt8) -> Bool {
    guard next == byte else { return false }
    position += 1
    return true
  }

  /// Takes one of `set` if it is next.
  mutating func take(anyOf set: StaticString) -> UInt8? {
    guard let byte = next else { return nil }
    let found = set.withUTF8Buffer { $0.contains(byte) }
    guard found else { return nil }
    position += 1
    return byte
  }

  /// Takes exactly `count` (at most 18) decimal digits; `nil` where there are fewer.
  @inline(__always)
  mutating func digits(_ count: Int) -> Int? {
    guard end - position >= count else { return nil }
    var value = 0
    for place in position..<position + count {
      let digit = bytes[place] &- UInt8(ascii: "0")
      guard digit < 10 else { return nil }
      value = value * 10 + Int(digit)
    }
    position += count
    return value
  }

  /// Takes all decimal digits that are next. `nil` where there is none, or where the number does
  /// not fit.
  @inline(__always)
  mutating func number() -> UInt64? {
    let start = position
    var value: UInt64 = 0
    while position < end {
      let digit = bytes[position] &- UInt8(ascii: "0")
      guard digit < 10 else { break }
      let (tens, isTooLong) = value.multipliedReportingOverflow(by: 10)
      let (sum, isTooLarge) = tens.addingReportingOverflow(UInt64(digit))
      guard !isTooLong, !isTooLarge else { return nil }
      value = sum
      position += 1
    }
    return position > start ? value : nil
  }

  /// Takes a fraction of one to nine digits, in billionths. `nil` where there are none or more.
  @inline(__always)
  mutating func billionths() -> UInt64? {
    var value: UInt64 = 0
    var count = 0
    while position < end {
      let digit = bytes[position] &- UInt8(ascii: "0")
      guard digit < 10 else { break }
      guard count < 9 else { return nil }
      value = value * 10 + UInt64(digit)
      count += 1
      position += 1
    }
    guard count > 0 else { return nil }
    for _ in count..<9 { value *= 10 }
    return value
  }
}
