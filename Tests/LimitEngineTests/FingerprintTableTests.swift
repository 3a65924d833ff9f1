// The table of names against a dictionary, where names crowd and go round the end.

import TestSupport
import Testing

@testable import LimitEngine

@Suite struct FingerprintTableTests {
  private struct Named: Fingerprinted, Equatable {
    let fingerprint: Fingerprint
    let value: Int
  }

  /// A name that belongs to the place `home` of a table of 16.
  private static func name(_ number: Int, at home: Int) -> Fingerprint {
    Fingerprint(low: UInt64(number), high: UInt64(home) << 60 | UInt64(number))
  }

  @Test("Adding, replacing and removing in one crowd round the end, as a dictionary does it")
  func crowd() {
    var random = SeededGenerator(seed: 5)
    // Three homes, the last and the first of 16 places among them: all are one crowd.
    let names = (0..<24).map { Self.name($0, at: [14, 15, 0][$0 % 3]) }
    var table = FingerprintTable<Named>([], capacity: 8)
    defer { table.deallocate() }
    var model: [Fingerprint: Int] = [:]
    for step in 0..<20_000 {
      let name = names[Int.random(in: 0..<24, using: &random)]
      if Bool.random(using: &random) {
        table.remove(name)
        model[name] = nil
      } else if model[name] != nil || model.count < 8 {
        #expect(model[name] != nil || table.hasRoom(for: 1))
        table.set(Named(fingerprint: name, value: step))
        model[name] = step
      } else {
        #expect(!table.hasRoom(for: 1))
      }
      #expect(table.count == model.count)
      for name in names { #expect(table.find(name)?.value == model[name]) }
    }
    var seen = 0
    table.forEach { element in
      seen += 1
      #expect(model[element.fingerprint] == element.value)
    }
    #expect(seen == model.count)
  }
}
