// Keys in the forms in which callers have them. Values: any thread may use them.

/// A key within a tenant: a user, a route, whatever its limits count by.
///
/// Text is kept as it is; up to 32 bytes are kept without an allocation.
public struct LimitKey: Sendable, Hashable {
  private enum Storage: Sendable, Hashable {
    case text(String)
    case short(ShortKey)
    case long([UInt8])
  }

  private let storage: Storage

  /// The UTF-8 of a text. O(1).
  public init(_ text: String) { storage = .text(text) }

  /// Copies bytes. O(n).
  public init(bytes: some Sequence<UInt8>) {
    let key = bytes.withContiguousStorageIfAvailable {
      LimitKey(UnsafeRawBufferPointer($0))
    }
    self = key ?? [UInt8](bytes).withUnsafeBytes { LimitKey($0) }
  }

  /// Copies the bytes of a span. O(n).
  public init(_ span: RawSpan) { self = span.withUnsafeBytes { LimitKey($0) } }

  /// Copies the bytes of a span. O(n).
  public init(_ span: Span<UInt8>) { self.init(span.bytes) }

  /// Copies bytes. O(n).
  public init(_ bytes: UnsafeRawBufferPointer) {
    storage = ShortKey(bytes).map(Storage.short) ?? .long([UInt8](bytes))
  }

  /// The key, as a request carries it.
  public func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    switch storage {
    case .text(let text): try text.withBytes(body)
    case .short(let key): try key.withBytes(body)
    case .long(let bytes): try bytes.withBytes(body)
    }
  }

  /// Keys are equal where their bytes are, however they were given.
  public static func == (left: LimitKey, right: LimitKey) -> Bool {
    left.withBytes { left in right.withBytes { right in left.elementsEqual(right) } }
  }

  public func hash(into hasher: inout Hasher) { withBytes { hasher.combine(bytes: $0) } }
}

extension LimitKey: ExpressibleByStringLiteral {
  public init(stringLiteral text: String) { self.init(text) }
}

/// Up to 32 bytes, without an allocation.
struct ShortKey: Sendable, Hashable, BitwiseCopyable {
  private var words: InlineWords = InlineWords()
  private var count: UInt8 = 0

  private struct InlineWords: Hashable, BitwiseCopyable {
    var (first, second, third, fourth): (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
  }

  init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count <= MemoryLayout<InlineWords>.size else { return nil }
    count = UInt8(bytes.count)
    withUnsafeMutableBytes(of: &words) { $0.copyMemory(from: bytes) }
  }

  func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withUnsafeBytes(of: words) { words throws(Failure) in
      try body(UnsafeRawBufferPointer(rebasing: words[..<Int(count)]))
    }
  }
}

extension String {
  /// The UTF-8 of this text. Linux strings are contiguous; one that is not is copied.
  func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    // What calls `body` rethrows untyped; the outcome is carried through it.
    let result = utf8.withContiguousStorageIfAvailable { utf8 in
      Swift.Result { () throws(Failure) in try body(UnsafeRawBufferPointer(utf8)) }
    }
    if let result { return try result.get() }
    return try [UInt8](utf8).withBytes(body)
  }
}

extension [UInt8] {
  func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let result = withUnsafeBytes { bytes in
      Swift.Result { () throws(Failure) in try body(bytes) }
    }
    return try result.get()
  }
}
