// Finds the policies that rows name, in every policy file of the run.

import LimitEngine

/// The policies that all files of a run have, by name.
struct PolicyDirectory {
  private struct Entry {
    let name: [UInt8]
    let indices: [PolicyIndex]
  }

  private let entries: [Entry]
  private let numbers: [[UInt8]: Int]
  private let sources: [(file: String, names: [String])]
  private var last = 0

  init(_ sides: [(file: String, policies: PolicySet)]) {
    sources = sides.map { ($0.file, $0.policies.policyNames) }
    let names = sides.first?.policies.policyNames ?? []
    entries = names.compactMap { name in
      let indices = sides.compactMap { $0.policies.policy(named: name) }
      guard indices.count == sides.count else { return nil }
      return Entry(name: Array(name.utf8), indices: indices)
    }
    numbers = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.name, $0) })
  }

  /// The number of the policy of that name. Rows that name one policy in a row find it without a
  /// hash.
  mutating func number(of name: ArraySlice<UInt8>) throws(Malformed) -> Int {
    if last < entries.count, name.elementsEqual(entries[last].name) { return last }
    guard let number = numbers[Array(name)] else {
      let text = String(decoding: name, as: UTF8.self)
      let lacking = sources.first { !$0.names.contains(text) }
      let known = (lacking?.names ?? []).map { "'\($0)'" }.joined(separator: ", ")
      throw Malformed(
        "no policy '\(readable(name))' in \(lacking?.file ?? "the policy file"), which has \(known)"
      )
    }
    last = number
    return number
  }

  /// The index that a policy has in a file of the run.
  func index(_ number: Int, side: Int) -> PolicyIndex { entries[number].indices[side] }
}
