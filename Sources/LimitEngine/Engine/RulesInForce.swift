// By which rules the words of a region are written: what must outlive the process, so that the next
// one reads them as they were meant.
//
// The rules themselves are kept elsewhere, under their source. Two generations of words at most are
// alive, told apart by their parity; so two sources do, and one word says which is in force.

import Synchronization

/// The rules that the words of a region are written by.
public struct RulesInForce: Hashable, Sendable {
  /// Counts the sets that followed each other; its parity is in every state word.
  public var generation: UInt32
  /// Whether words of the generation before may be left, which are not converted.
  public var isChanging: Bool
  /// When the rules changed, in ns: as of when words of the generation before are converted.
  public var changedAt: UInt64
  /// `PolicySet.source` of the rules in force; 0: not known.
  public var source: UInt64
  /// That of the generation before, while `isChanging`. `nil`: what the region says already.
  public var formerSource: UInt64?

  public init(
    generation: UInt32 = 0, isChanging: Bool = false, changedAt: UInt64 = 0, source: UInt64 = 0,
    formerSource: UInt64? = nil
  ) {
    self.generation = generation
    self.isChanging = isChanging
    self.changedAt = changedAt
    self.source = source
    self.formerSource = formerSource
  }

  /// What may be said of words that were read while the rules went over from `self` to `later`;
  /// `nil` where three generations may be among them.
  public func spanning(_ later: RulesInForce) -> RulesInForce? {
    if later.generation == generation { return self }
    guard later.generation == generation &+ 1, !isChanging else { return nil }
    var both = later
    both.isChanging = true
    both.formerSource = source
    return both
  }
}

extension Engine {
  /// The rules that the words of this engine are written by. Any thread.
  public var rules: RulesInForce { storages.rules }

  /// Takes over what is said of words that come from elsewhere. Only before any thread decides.
  public func setRules(_ rules: RulesInForce) { storages.noteRules(rules) }
}

/// What taking slots needs to know of a change of the rules that is under way. A view of the region's
/// header; any thread.
struct RulesChange {
  /// `RegionHeader.rulesWord` (`RulesWord`) and `rulesChangedAtWord`.
  let rulesWord: UnsafeMutablePointer<Word>
  let changedAtWord: UnsafeMutablePointer<Word>

  /// When the rules last changed, in ns. Relaxed: whoever needs it has seen the change before, with an
  /// acquire.
  var changedAt: UInt64 {
    // A damaged region may say anything.
    min(changedAtWord.pointee.load(ordering: .relaxed), Instant.max.nanoseconds)
  }

  /// The parity of words of the generation before, while there may be some.
  ///
  /// Acquire: with the change come its instant and source (`noteRules`).
  var parityLeftBehind: UInt8? {
    let seen = rulesWord.pointee.load(ordering: .acquiring)
    return RulesWord.isChanging(seen) ? UInt8(seen & 1) ^ 1 : nil
  }

  /// Whether the bucket of a word that is dead by itself may end.
  ///
  /// A word of former rules that a change has left behind is judged as of the change, like its
  /// conversion: by the new rules it may matter for longer than it says itself. Who reads too early that
  /// no change is under way has a `now` that lies before the change, and then a dead word was dead then.
  func allowsEnd(of word: StateWord) -> Bool {
    guard word.isOf(parity: parityLeftBehind) else { return true }
    return word.isDead(at: Instant(nanoseconds: changedAt))
  }
}

extension EngineStorage {
  private var rulesWord: UnsafeMutablePointer<Word> { change.rulesWord }

  private func source(ofGeneration generation: UInt32) -> UnsafeMutablePointer<Word> {
    rulesSourceWords + Int(generation & 1)
  }

  /// Ends because each further turn means that rules were put in force or all words converted
  /// meanwhile.
  var rules: RulesInForce {
    while true {
      // Acquire: pairs with `noteRules`. What belongs to a generation is not written again before the
      // word has changed.
      let word = rulesWord.pointee.load(ordering: .acquiring)
      let (generation, isChanging) = (RulesWord.generation(word), RulesWord.isChanging(word))
      let former = source(ofGeneration: generation &+ 1).pointee.load(ordering: .acquiring)
      let rules = RulesInForce(
        generation: generation, isChanging: isChanging,
        changedAt: change.changedAtWord.pointee.load(ordering: .acquiring),
        source: source(ofGeneration: generation).pointee.load(ordering: .acquiring),
        formerSource: isChanging ? former : nil)
      if rulesWord.pointee.load(ordering: .relaxed) == word { return rules }
    }
  }

  /// Whether a bucket's word says nothing any more at `now`.
  func isOver(_ word: StateWord, at now: Instant) -> Bool {
    word.isDead(at: now) && change.allowsEnd(of: word)
  }

  /// Writes what there is to know of rules, and last the word that puts them in force. One thread at
  /// a time.
  func noteRules(_ rules: RulesInForce) {
    // A process that is killed amid this leaves a word that vouches for nothing else. Relaxed: only one
    // thread writes it.
    let before = rulesWord.pointee.load(ordering: .relaxed)
    rulesWord.pointee.store(RulesWord.unchecked(before), ordering: .relaxed)
    // Release, each: the next process sees them no earlier than that.
    if let former = rules.formerSource {
      source(ofGeneration: rules.generation &+ 1).pointee.store(former, ordering: .releasing)
    }
    source(ofGeneration: rules.generation).pointee.store(rules.source, ordering: .releasing)
    change.changedAtWord.pointee.store(rules.changedAt, ordering: .releasing)
    storeRulesWord(rules.generation, isChanging: rules.isChanging)
  }

  /// No word of the generation before is left.
  func noteConversion(to generation: UInt32) { storeRulesWord(generation, isChanging: false) }

  /// Release: who reads it, also in the next process, has what it vouches for.
  private func storeRulesWord(_ generation: UInt32, isChanging: Bool) {
    rulesWord.pointee.store(
      RulesWord.word(
        generation, isChanging: isChanging,
        changedAt: change.changedAtWord.pointee.load(ordering: .relaxed),
        sources: (
          rulesSourceWords.pointee.load(ordering: .relaxed),
          (rulesSourceWords + 1).pointee.load(ordering: .relaxed)
        )),
      ordering: .releasing)
  }
}

extension StateWord {
  /// Whether a live word was written by rules of this parity; `false` for `nil`.
  func isOf(parity: UInt8?) -> Bool {
    (isTokenBucket || isWindow) && head & 1 == parity
  }
}
