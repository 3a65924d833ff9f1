// Bytes on their way out: gathered, and written in large pieces.

import Glibc

/// Why output could not be written.
struct OutputError: Error {
  let number: Int32

  /// Nobody reads any more (`| head`): an end without a word.
  var isBrokenPipe: Bool { number == EPIPE }
}

/// Gathers output for a descriptor. One thread uses an output. `flush` at the end.
struct Output: ~Copyable {
  private static let pieceLength = 1 << 16

  private let descriptor: Int32?
  /// What is not written yet; in memory, all there is.
  private(set) var bytes: [UInt8] = []

  /// - Parameter descriptor: where to write; `nil` keeps everything in `bytes`.
  init(to descriptor: Int32?) {
    self.descriptor = descriptor
    bytes.reserveCapacity(2 * Self.pieceLength)
  }

  mutating func flush() throws(OutputError) {
    guard let descriptor else { return }
    var number: Int32 = 0
    bytes.withUnsafeBytes { bytes in
      var written = 0
      while written < bytes.count {
        let count = write(descriptor, bytes.baseAddress! + written, bytes.count - written)
        if count >= 0 {
          written += count
        } else if errno != EINTR {
          number = errno
          return
        }
      }
    }
    bytes.removeAll(keepingCapacity: true)
    guard number == 0 else { throw OutputError(number: number) }
  }

  /// Writes if enough has gathered.
  @inline(__always)
  mutating func flushIfLarge() throws(OutputError) {
    if bytes.count >= Self.pieceLength { try flush() }
  }

  @inline(__always)
  mutating func append(_ byte: UInt8) { bytes.append(byte) }

  mutating func append(_ text: ArraySlice<UInt8>) { bytes.append(contentsOf: text) }

  mutating func append(_ text: [UInt8]) { bytes.append(contentsOf: text) }

  mutating func append(_ text: StaticString) {
    text.withUTF8Buffer { bytes.append(contentsOf: $0) }
  }

  mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

  /// A whole number in decimals.
  mutating func append(_ number: UInt64) {
    var rest = number
    let start = bytes.count
    repeat {
      let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
      bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit))
      rest = quotient
    } while rest > 0
    bytes[start...].reverse()
  }

  /// Nanoseconds as seconds with nine decimals.
  mutating func append(seconds nanoseconds: UInt64) {
    let (whole, fraction) = nanoseconds.quotientAndRemainder(dividingBy: 1_000_000_000)
    append(whole)
    bytes.append(UInt8(ascii: "."))
    var divisor: UInt64 = 100_000_000
    var rest = fraction
    while divisor > 0 {
      let (digit, remainder) = rest.quotientAndRemainder(dividingBy: divisor)
      bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit))
      rest = remainder
      divisor /= 10
    }
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
