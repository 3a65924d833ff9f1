// Bytes of a file, a pipe or memory, one chunk at a time: the only place that reads input.
//
// One thread uses a reader. It holds one chunk, whatever the size of the file.

import Glibc
import LimitConsole

/// Reads a file in chunks and closes it at the end of its life.
struct ByteReader: ~Copyable {
  private enum Source {
    case descriptor(Int32, closes: Bool)
    /// For tests, which want to place chunk borders anywhere.
    case memory([UInt8])
  }

  static let chunkLength = 1 << 18

  /// The file's name, as given.
  let name: String
  private let source: Source
  /// The current chunk is `buffer[position ..< end]`.
  private var buffer: [UInt8]
  private var position = 0
  private var end = 0
  /// Bytes read of the file so far.
  private(set) var bytesRead = 0

  private init(_ source: Source, name: String, chunk: Int) {
    self.source = source
    self.name = name
    buffer = [UInt8](repeating: 0, count: chunk)
  }

  /// Opens a file; `-` is standard input.
  static func open(_ path: String) throws(TraceError) -> ByteReader {
    var source = Source.descriptor(STDIN_FILENO, closes: false)
    if path != "-" {
      let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
      guard descriptor >= 0 else {
        throw .unreadable(file: path, why: "cannot be opened: \(systemError(errno))")
      }
      source = .descriptor(descriptor, closes: true)
    }
    var reader = ByteReader(source, name: path, chunk: chunkLength)
    try reader.readMagic()
    return reader
  }

  /// Reads `bytes`, `chunk` of them at a time, at least four.
  static func reading(
    _ bytes: [UInt8],
    name: String = "memory",
    chunk: Int = chunkLength
  ) throws(TraceError) -> ByteReader {
    var reader = ByteReader(.memory(bytes), name: name, chunk: max(4, chunk))
    try reader.readMagic()
    return reader
  }

  deinit {
    if case .descriptor(let descriptor, closes: true) = source { close(descriptor) }
  }

  /// The next byte, without taking it; `nil` at the end.
  @inline(__always)
  mutating func peek() throws(TraceError) -> UInt8? {
    if position == end, try !refill() { return nil }
    return buffer[position]
  }

  /// Takes the byte that `peek` showed.
  @inline(__always)
  mutating func advance() {
    precondition(position < end, "advance follows a peek that showed a byte")
    position += 1
  }

  /// Moves bytes to `text` up to and without the first that is one of `stops`. Ends early at the
  /// end of the chunk.
  ///
  /// - Returns: how many bytes were moved.
  @inline(__always)
  mutating func move(
    to text: inout [UInt8],
    until stops: (UInt8) -> Bool
  ) throws(TraceError) -> Int {
    if position == end, try !refill() { return 0 }
    var stop = position
    while stop < end, !stops(buffer[stop]) { stop += 1 }
    text.append(contentsOf: buffer[position..<stop])
    let count = stop - position
    position = stop
    return count
  }

  /// Takes everything up to and including the next line feed, or to the end.
  mutating func skipLine() throws(TraceError) {
    while let byte = try peek() {
      advance()
      if byte == Ascii.lineFeed { return }
    }
  }

  /// Reads the next chunk. `false` at the end.
  private mutating func refill() throws(TraceError) -> Bool {
    let count = try read(at: 0)
    position = 0
    end = count
    return count > 0
  }

  private mutating func read(at offset: Int) throws(TraceError) -> Int {
    switch source {
    case .memory(let bytes):
      let count = min(buffer.count - offset, bytes.count - bytesRead)
      buffer.replaceSubrange(offset..<offset + count, with: bytes[bytesRead..<bytesRead + count])
      bytesRead += count
      return count
    case .descriptor(let descriptor, _):
      let count = buffer.withUnsafeMutableBytes { bytes in
        while true {
          let count = Glibc.read(descriptor, bytes.baseAddress! + offset, bytes.count - offset)
          if count >= 0 || errno != EINTR { return count }
        }
      }
      guard count >= 0 else {
        throw .unreadable(file: name, why: "cannot be read: \(systemError(errno))")
      }
      bytesRead += count
      return count
    }
  }

  /// Steps over a byte order mark, and refuses compressed files.
  private mutating func readMagic() throws(TraceError) {
    while end < 4 {
      let count = try read(at: end)
      if count == 0 { break }
      end += count
    }
    if buffer[..<end].starts(with: [0x1F, 0x8B]) || buffer[..<end].starts(with: [0x28, 0xB5, 0x2F])
    {
      throw .unreadable(
        file: name,
        why: "is compressed, which replay does not read; unpack it and pipe it in with '-'"
      )
    }
    if buffer[..<end].starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
  }
}

/// The bytes that the formats read here are made of.
enum Ascii {
  static let lineFeed = UInt8(ascii: "\n")
  static let carriageReturn = UInt8(ascii: "\r")
  static let comma = UInt8(ascii: ",")
  static let quote = UInt8(ascii: "\"")
  static let backslash = UInt8(ascii: "\\")
  static let space = UInt8(ascii: " ")
}
