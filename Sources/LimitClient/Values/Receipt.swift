// What a decision took, so that it can be given back. A value: any thread may use it.

internal import LimitProtocol

/// What a decision took: hand it to `refund`, once.
///
/// Holds the tenant, the policy and the key, and so outlives the connection that the decision came
/// by. Making one allocates only where the query charged something and its key, given as bytes, is
/// longer than 32 bytes.
public struct Receipt: Sendable, Hashable {
  var tenant: String
  var policy: String
  var key: StoredKey
  var cost: UInt64
  var wire: WireReceipt

  /// Whether there is nothing to give back: a denial, a peek, a daemon that was away. Refunding
  /// such a receipt does nothing and asks nobody.
  public var isEmpty: Bool { wire.charged == 0 }

  static let nothing = Receipt(
    tenant: "", policy: "", key: .text(""), cost: 0,
    wire: .nothing)
}

/// A key that is kept.
enum StoredKey: Sendable, Hashable {
  case text(String)
  case short(ShortKey)
  case long([UInt8])

  /// Copies the bytes.
  init(copying bytes: UnsafeRawBufferPointer) {
    self = ShortKey(bytes).map(StoredKey.short) ?? .long([UInt8](bytes))
  }

  /// The key, as a request carries it.
  func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) -> Result
  ) -> Result {
    switch self {
    case .text(let text): text.withBytes(body)
    case .short(let key): key.withBytes(body)
    case .long(let bytes): bytes.withBytes(body)
    }
  }
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

  func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) -> Result
  ) -> Result {
    withUnsafeBytes(of: words) { words in
      body(UnsafeRawBufferPointer(rebasing: words[..<Int(count)]))
    }
  }
}

extension String {
  /// The UTF-8 of this text. Linux strings are contiguous; one that is not is copied.
  func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) -> Result
  ) -> Result {
    var text = self
    return text.withUTF8 { utf8 in body(UnsafeRawBufferPointer(utf8)) }
  }
}

extension [UInt8] {
  func withBytes<Result>(
    _ body: (UnsafeRawBufferPointer) -> Result
  ) -> Result {
    withUnsafeBytes { bytes in body(bytes) }
  }
}
