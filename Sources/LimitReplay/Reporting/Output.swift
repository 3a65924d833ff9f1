// Bytes on their way out: gathered, and written in large pieces.

import Glibc
package import LimitConsole

/// Gathers output for a descriptor. One thread uses an output. `flush` at the end.
package struct Output: ~Copyable {
  private static let pieceLength = 1 << 16

  private let descriptor: Int32?
  /// `storage[..<count]` is not written yet; in memory, it is all there is.
  private var storage: [UInt8]
  private var count = 0

  /// - Parameter descriptor: where to write; `nil` keeps everything in `bytes`.
  package init(to descriptor: Int32?) {
    self.descriptor = descriptor
    storage = [UInt8](repeating: 0, count: 2 * Self.pieceLength)
  }

  /// What is not written yet.
  package var bytes: ArraySlice<UInt8> { storage[..<count] }

  package mutating func flush() throws(OutputError) {
    guard let descriptor else { return }
    var number: Int32 = 0
    storage.withUnsafeBytes { bytes in
      var written = 0
      while written < count {
        let length = write(descriptor, bytes.baseAddress! + written, count - written)
        if length >= 0 {
          written += length
        } else if errno != EINTR {
          number = errno
          return
        }
      }
    }
    count = 0
    guard number == 0 else { throw OutputError(number: number) }
  }

  /// Writes if enough has gathered.
  @inline(__always)
  mutating func flushIfLarge() throws(OutputError) {
    if count >= Self.pieceLength { try flush() }
  }

  @inline(__always)
  private mutating func makeRoom(for length: Int) {
    if storage.count - count < length { grow(by: length) }
  }

  @inline(never)
  private mutating func grow(by length: Int) {
    storage.append(contentsOf: repeatElement(0, count: max(length, storage.count)))
  }

  @inline(__always)
  mutating func append(_ byte: UInt8) {
    makeRoom(for: 1)
    storage[count] = byte
    count += 1
  }

  mutating func append(_ text: ArraySlice<UInt8>) {
    makeRoom(for: text.count)
    for byte in text {
      storage[count] = byte
      count += 1
    }
  }

  mutating func append(_ text: StaticString) {
    text.withUTF8Buffer { for byte in $0 { append(byte) } }
  }

  mutating func append(_ text: String) { append(Array(text.utf8)[...]) }

  /// A whole number in decimals.
  mutating func append(_ number: UInt64) {
    makeRoom(for: 20)
    var length = 1
    var power: UInt64 = 10
    while length < 20, number >= power {
      length += 1
      power = length < 20 ? power * 10 : power
    }
    put(number, digits: length)
  }

  /// Nanoseconds as seconds with nine decimals.
  mutating func append(seconds nanoseconds: UInt64) {
    let (whole, fraction) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    append(whole)
    makeRoom(for: 10)
    storage[count] = UInt8(ascii: ".")
    count += 1
    put(fraction, digits: 9)
  }

  /// The last `digits` decimals of `number`. There is room for them.
  @inline(__always)
  private mutating func put(_ number: UInt64, digits: Int) {
    var rest = number
    for place in stride(from: count + digits - 1, through: count, by: -1) {
      let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
      storage[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit)
      rest = quotient
    }
    count += digits
  }

  /// A CSV field, in quotes if it needs them.
  mutating func append(field: ArraySlice<UInt8>) {
    let needsQuotes = field.contains {
      $0 == Ascii.comma || $0 == Ascii.quote || $0 == Ascii.lineFeed || $0 == Ascii.carriageReturn
    }
    guard needsQuotes else { return append(field) }
    append(Ascii.quote)
    for byte in field {
      if byte == Ascii.quote { append(Ascii.quote) }
      append(byte)
    }
    append(Ascii.quote)
  }
}
