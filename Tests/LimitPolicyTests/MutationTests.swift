// Damaged files: whatever happens to the text, reading it ends in a policy file that the engine
// takes, or in errors with places.

import LimitEngine
import LimitPolicy
import Testing

@Suite struct MutationTests {
  /// Two whole files: half of the first one's bytes are comments, the other has every setting of
  /// the daemon.
  private static let examples = [contents(of: examplePath), Array(daemonExample.utf8)]

  /// Reads a text to the end of what can be done with it; whether it was accepted.
  private func isAccepted(_ bytes: [UInt8]) -> Bool {
    do throws(PolicyFileError) {
      let file = try PolicyFile.parse(bytes, path: "p.yaml")
      _ = file.compile(hashKey: HashKey(low: 1, high: 2))
      #expect(file.daemon.access?.allSatisfy { !$0.roles.isEmpty } ?? true)
      for policy in file.policyNames { _ = file.explain(tenant: "acme", policy: policy) }
      return true
    } catch {
      let isSound = error.diagnostics.allSatisfy {
        $0.line >= 1 && $0.column >= 1 && !$0.message.isEmpty
      }
      #expect(isSound && error.diagnostics.contains { $0.severity == .error })
      return false
    }
  }

  @Test(arguments: examples) func noTruncationCrashes(example: [UInt8]) {
    var accepted = 0
    for length in 0...example.count where isAccepted(Array(example.prefix(length))) {
      accepted += 1
    }
    // Cut after the policies, after whole tenants, or within a comment, it is a whole file.
    #expect((10..<example.count / 2).contains(accepted), "\(accepted) of \(example.count)")
  }

  @Test(arguments: examples) func noCorruptedByteCrashes(example: [UInt8]) {
    var accepted = 0
    var refused = 0
    let replacements: [UInt8] = [0x00, 0xFF, 0x80] + Array("\n\t:*&{]'\"-0%".utf8)
    for place in example.indices {
      var damaged = example
      damaged[place] = replacements[place % replacements.count]
      if isAccepted(damaged) { accepted += 1 } else { refused += 1 }
      damaged[place] = replacements[(place / 7 + 3) % replacements.count]
      if isAccepted(damaged) { accepted += 1 } else { refused += 1 }
    }
    // Names and comments take most characters; both outcomes must have occurred often.
    #expect(accepted > 100 && refused > 500, "\(accepted) accepted, \(refused) refused")
  }

  @Test(arguments: examples) func noRemovedRepeatedOrMovedLineCrashes(example: [UInt8]) {
    let lines = example.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    var generator = SplitMix(state: 0xF11E)
    var refused = 0
    for _ in 0..<300 {
      var damaged = lines
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let place = damaged.indices.randomElement(using: &generator)!
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: damaged.remove(at: place)
        case 1: damaged.insert(damaged[place], at: place)
        default: damaged.swapAt(place, damaged.indices.randomElement(using: &generator)!)
        }
      }
      if !isAccepted(Array(damaged.joined(separator: [UInt8(ascii: "\n")]))) { refused += 1 }
    }
    #expect((50..<300).contains(refused), "\(refused) of 300 refused; seed 0xF11E")
  }
}
