// What a tenant may be called: one rule for the policy file, the daemon and replay. Pure: any thread.

/// The names that tenants may have.
public enum TenantName {
  /// Bytes of a name.
  public static let byteCounts = 1...255

  /// Whether `bytes` are a tenant's name: 1 to 255 bytes of UTF-8 without white space, control
  /// characters, and the invisible ones that change the direction or the breaks of a line.
  ///
  /// O(bytes), allocates nothing.
  public static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard byteCounts.contains(bytes.count) else { return false }
    return bytes.allSatisfy { 0x21...0x7E ~= $0 } || isPrintable(bytes)
  }

  @inline(never) private static func isPrintable(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var parser = Unicode.UTF8.ForwardParser()
    var rest = bytes.makeIterator()
    while true {
      switch parser.parseScalar(from: &rest) {
      case .emptyInput: return true
      case .error: return false
      case .valid(let encoded):
        let scalar = Unicode.UTF8.decode(encoded)
        if scalar.isInvisibleControl || scalar.properties.isWhitespace { return false }
      }
    }
  }
}

extension Unicode.Scalar {
  /// Control characters, and the invisible ones that change the direction or the breaks of a line.
  public var isInvisibleControl: Bool {
    switch properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator: true
    default: false
    }
  }
}
