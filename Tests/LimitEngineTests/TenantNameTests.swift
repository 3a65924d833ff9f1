// What a tenant may be called.

import LimitEngine
import Testing

@Suite struct TenantNameTests {
  private func isValid(_ name: [UInt8]) -> Bool {
    name.withUnsafeBytes { TenantName.isValid($0) }
  }

  @Test(
    "UTF-8 that a person can read is a name",
    arguments: [
      "a", "acme", "district-7", "école", "学校", "🏫", "a/b:c", String(repeating: "é", count: 127),
    ])
  func valid(_ name: String) { #expect(isValid(Array(name.utf8))) }

  @Test(
    "Nothing, white space, control characters and more than 255 bytes are none",
    arguments: [
      "", "a b", "a\tb", "a\nb", "a\0", "\u{7F}", "\u{85}", "a\u{A0}b", "\u{200B}x", "\u{202E}x",
      "\u{2028}", "\u{FEFF}x", String(repeating: "é", count: 128),
      String(repeating: "a", count: 256),
    ])
  func invalid(_ name: String) { #expect(!isValid(Array(name.utf8))) }

  @Test(
    "Bytes that are not UTF-8 are none",
    arguments: [
      [0xFF], [0x61, 0xC3], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80],
    ])
  func notText(_ bytes: [UInt8]) { #expect(!isValid(bytes)) }
}
