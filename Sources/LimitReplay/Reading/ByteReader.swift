// Bytes of a file, a pipe or memory, one chunk at a time: the only place that reads input. What is
// compressed with gzip comes out as it was.
//
// One thread uses a reader. It holds one chunk, two where the file is compressed, whatever the size
// of the file.

import Glibc
import LimitConsole

/// Reads a file in chunks and closes it at the end of its life.
struct ByteReader: ~Copyable {
  static let chunkLength = 1 << 18

  /// The file's name, as given.
  let name: String
  private let source: InputSource
  private var inflater: GzipInflater?
  /// The current chunk is `buffer[position ..< end]`.
  private var buffer: [UInt8]
  private var position = 0
  private var end = 0
  /// Bytes read of the file so far, as they stand there.
  var bytesRead: Int { source.bytesRead }

  private init(_ source: InputSource, name: String, chunk: Int) throws(TraceError) {
    self.source = source
    self.name = name
    buffer = [UInt8](repeating: 0, count: chunk)
    try readMagic()
  }

  /// Opens a file; `-` is standard input.
  static func open(_ path: String) throws(TraceError) -> ByteReader {
    if path == "-" {
      let source = InputSource(.descriptor(STDIN_FILENO, closes: false), name: "standard input")
      return try ByteReader(source, name: "standard input", chunk: chunkLength)
    }
    let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      throw .unreadable(file: path, why: "cannot be opened: \(systemError(errno))")
    }
    let source = InputSource(.descriptor(descriptor, closes: true), name: path)
    return try ByteReader(source, name: path, chunk: chunkLength)
  }

  /// Reads `bytes`, `chunk` of them at a time, at least four. For tests, which want to place the
  /// borders of chunks anywhere.
  static func reading(
    _ bytes: [UInt8],
    name: String = "memory",
    chunk: Int = chunkLength
  ) throws(TraceError) -> ByteReader {
    try ByteReader(InputSource(.memory(bytes), name: name), name: name, chunk: max(4, chunk))
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
  ///
  /// - Returns: whether there was a line feed.
  @discardableResult
  mutating func skipLine() throws(TraceError) -> Bool {
    while let byte = try peek() {
      advance()
      if byte == Ascii.lineFeed { return true }
    }
    return false
  }

  /// The first line, without taking it: as much of it as fits into a chunk.
  mutating func firstLine() throws(TraceError) -> ArraySlice<UInt8> {
    while end < buffer.count, !buffer[position..<end].contains(Ascii.lineFeed) {
      let count = try read(at: end)
      if count == 0 { break }
      end += count
    }
    return buffer[position..<end].prefix { $0 != Ascii.lineFeed }
  }

  /// Reads the next chunk. `false` at the end.
  private mutating func refill() throws(TraceError) -> Bool {
    let count = try read(at: 0)
    position = 0
    end = count
    return count > 0
  }

  /// Reads plain text, inflated where the file is compressed.
  private mutating func read(at offset: Int) throws(TraceError) -> Int {
    let (source, inflater) = (source, inflater)
    let outcome = buffer.withUnsafeMutableBytes { bytes in
      Result { () throws(TraceError) in
        let room = UnsafeMutableRawBufferPointer(rebasing: bytes[offset...])
        guard let inflater else { return try source.read(into: room) }
        let inflated = try inflater.inflate(into: room) { (input) throws(TraceError) in
          try source.read(into: input)
        }
        switch inflated {
        case .success(let count): return count
        case .failure(.cut):
          throw .unreadable(file: source.name, why: "is cut off: the compressed data has no end")
        case .failure(.damaged):
          throw .unreadable(file: source.name, why: "is damaged: 'gzip -t' says the same")
        }
      }
    }
    return try outcome.get()
  }

  /// Steps over a byte order mark, and finds out whether and how the file is compressed.
  private mutating func readMagic() throws(TraceError) {
    try fillMagic()
    if buffer[..<end].starts(with: [0x1F, 0x8B]) {
      inflater = GzipInflater(start: buffer[..<end], chunk: buffer.count)
      end = 0
      try fillMagic()
    }
    if buffer[..<end].starts(with: [0x28, 0xB5, 0x2F]) {
      throw .unreadable(
        file: name,
        why: "is compressed with zstd, which replay does not read; pipe it in: "
          + "zstd -dc FILE | limitctl replay … -"
      )
    }
    if buffer[..<end].starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
  }

  private mutating func fillMagic() throws(TraceError) {
    while end < 4 {
      let count = try read(at: end)
      if count == 0 { break }
      end += count
    }
  }
}

/// Where bytes come from. One thread uses a source.
private final class InputSource {
  enum Kind {
    case descriptor(Int32, closes: Bool)
    case memory([UInt8])
  }

  private let kind: Kind
  let name: String
  private(set) var bytesRead = 0

  init(_ kind: Kind, name: String) {
    self.kind = kind
    self.name = name
  }

  deinit {
    if case .descriptor(let descriptor, closes: true) = kind { close(descriptor) }
  }

  /// Reads once; 0 at the end.
  func read(into room: UnsafeMutableRawBufferPointer) throws(TraceError) -> Int {
    var count: Int
    switch kind {
    case .memory(let bytes):
      count = min(room.count, bytes.count - bytesRead)
      room.copyBytes(from: bytes[bytesRead..<bytesRead + count])
    case .descriptor(let descriptor, _):
      repeat {
        count = Glibc.read(descriptor, room.baseAddress, room.count)
      } while count < 0 && errno == EINTR
      guard count >= 0 else {
        throw .unreadable(file: name, why: "cannot be read: \(systemError(errno))")
      }
    }
    bytesRead += count
    return count
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
