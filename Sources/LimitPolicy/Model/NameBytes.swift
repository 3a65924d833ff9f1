// Names as the daemon compares them: byte by byte. Swift's own comparison of text takes different
// bytes for the same where Unicode does (é as one character or as e and an accent).

/// A name that equals another only if its bytes do. A value: any thread may use it.
package struct NameBytes: Hashable, Sendable {
  package let text: String

  package init(_ text: String) { self.text = text }

  package static func == (left: NameBytes, right: NameBytes) -> Bool {
    left.text.hasSameBytes(as: right.text)
  }

  package func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}

extension String {
  /// O(bytes).
  func hasSameBytes(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }

  /// Whether this looks like `other` on every screen, and is another name to the daemon.
  func looksLike(_ other: String) -> Bool { self == other && !hasSameBytes(as: other) }
}
