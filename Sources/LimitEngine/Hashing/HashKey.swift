// The secret that an installation hashes with.

/// 128 secret bits, random per installation, kept with the state and never shown to a client.
///
/// Whoever does not know it cannot choose keys that meet in one bucket (hash flooding).
public struct HashKey: Hashable, Sendable, BitwiseCopyable {
  public let low: UInt64
  public let high: UInt64

  public init(low: UInt64, high: UInt64) {
    self.low = low
    self.high = high
  }

  /// A fresh key from the system's secure random number generator.
  public static func random() -> HashKey {
    var generator = SystemRandomNumberGenerator()
    return HashKey(low: generator.next(), high: generator.next())
  }
}
