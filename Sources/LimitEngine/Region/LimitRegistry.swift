// Which limit a slot belongs to: numbers for limits that mean the same after a reload.
//
// A limit's place in the policy file changes with the file, so slots name limits by a number from
// here. The number stands for the limit's seed, which is made from its name and algorithm.

import Synchronization

/// A limit's place in the registry: what slots remember of the limit they belong to.
struct LimitNumber: Hashable {
  let rawValue: UInt16

  /// No limit in particular: the registry was full. Numbers have 11 bits.
  static let none = LimitNumber(rawValue: (1 << 11) - 1)
}

/// A fixed hash table from a limit's seed to its number, written without locks. Limits are entered
/// when they first need a bucket and stay until `recover` finds no bucket of theirs: twice what one
/// policy set can have, so that it takes many reloads with new names to fill it.
///
/// | word | legal values | written by | publishes |
/// |---|---|---|---|
/// | identity | 0: free; otherwise low half of the limit's seed | the first thread to need it; `recover` | nothing |
/// | reserved | 0 | nobody | nothing |
struct LimitRegistry: @unchecked Sendable {
  static let places = 2_048
  static let wordsPerPlace = 2
  static let wordCount = places * wordsPerPlace

  private let words: UnsafeMutablePointer<Word>

  /// - Parameter words: `wordCount` words that outlive this view.
  init(words: UnsafeMutablePointer<Word>) { self.words = words }

  static func identity(_ seed: Fingerprint) -> UInt64 { seed.low == 0 ? 1 : seed.low }

  private func identity(_ place: Int) -> UnsafeMutablePointer<Word> {
    words + place * Self.wordsPerPlace
  }

  /// The number of the limit with this seed, entering it where it is new; `none` where there is no
  /// place. At most two readings of each place; wait-free.
  func number(of seed: Fingerprint) -> LimitNumber { number(ofIdentity: Self.identity(seed)) }

  func number(ofIdentity identity: UInt64) -> LimitNumber {
    var place = Int(identity >> 53)
    for _ in 0..<Self.places {
      // The last place has the number that says "none".
      if place != Int(LimitNumber.none.rawValue) {
        let word = self.identity(place)
        // Relaxed: the word is its own whole message; a number refers to nothing else.
        var seen = word.pointee.load(ordering: .relaxed)
        if seen == 0 {
          let (exchanged, original) = word.pointee.compareExchange(
            expected: 0, desired: identity, ordering: .relaxed)
          seen = exchanged ? identity : original
        }
        if seen == identity { return LimitNumber(rawValue: UInt16(place)) }
      }
      place = (place + 1) % Self.places
    }
    return .none
  }

  /// What stands for the limit of that number: the low half of its seed; `nil` where there is none.
  func identity(of number: LimitNumber) -> UInt64? {
    guard number != .none, number.rawValue < Self.places else { return nil }
    let seen = identity(Int(number.rawValue)).pointee.load(ordering: .relaxed)
    return seen == 0 ? nil : seen
  }

  /// Frees the places of limits that `isUsed` does not name. Not while threads decide.
  ///
  /// A place stays where the search for a limit behind it would end at the hole.
  func keep(_ isUsed: [Bool]) {
    var used: [(place: Int, identity: UInt64)] = []
    for place in 0..<Self.places where isUsed[place] {
      used.append((place, identity(place).pointee.load(ordering: .relaxed)))
    }
    var isNeeded = [Bool](repeating: false, count: Self.places)
    for (place, identity) in used {
      var step = Int(identity >> 53)
      while step != place {
        isNeeded[step] = true
        step = (step + 1) % Self.places
      }
      isNeeded[place] = true
    }
    for place in 0..<Self.places where !isNeeded[place] {
      identity(place).pointee.store(0, ordering: .relaxed)
    }
  }
}
