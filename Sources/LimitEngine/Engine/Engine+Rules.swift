// Changed rules: when they come into force, and what becomes of state that was written before.

import Synchronization

extension Engine {
  /// When the rules last changed, in ns. Relaxed: whoever needs it has seen the new rules, or a word
  /// that was written by them, with an acquire.
  var rulesChangedAt: UInt64 { storages.change.changedAt }

  /// Changes the rules: from now on `policies` decides by its own and no longer by those of the set
  /// before. All threads see it at once, whichever of their decisions it falls into.
  ///
  /// Call it once every thread that decides has gone over to `policies`. Then, once every decision
  /// that had begun is made, call `convert`.
  ///
  /// - Parameter now: not before any reading of the clock that a decision was made by.
  public func putInForce(_ policies: PolicySet, at now: Instant) {
    noteChange(to: policies, at: now.nanoseconds)
    policies.putInForce()
  }

  /// One word switches them: a process that is killed here leaves the rules before, or these.
  private func noteChange(to policies: PolicySet, at changedAt: UInt64) {
    storages.noteRules(
      RulesInForce(
        generation: policies.generation, isChanging: true, changedAt: changedAt,
        source: policies.source, formerSource: nil))
  }

  /// As `putInForce`, as of an instant that no reading of the clock has reached before the rules change,
  /// unless the thread is kept from running between two instructions.
  ///
  /// - Parameters:
  ///   - lead: how far ahead of the clock, in ns: longer than a reading is used.
  ///   - clock: by which decisions are made.
  public func putInForce(_ policies: PolicySet, aheadBy lead: UInt64, of clock: () -> Instant) {
    var changedAt: UInt64
    // What is noted counts from `putInForce` on: a thread that did not run meanwhile notes it again. A
    // further turn means that it was kept from running for half the lead.
    repeat {
      changedAt = clock().nanoseconds + lead
      noteChange(to: policies, at: changedAt)
    } while clock().nanoseconds + lead / 2 > changedAt
    policies.putInForce()
  }

  /// Says by which rules the words of a region are written that has none as yet.
  public func begin(under policies: PolicySet) {
    storages.noteRules(
      RulesInForce(
        generation: policies.generation, isChanging: false, changedAt: 0, source: policies.source,
        formerSource: nil))
    policies.putInForce()
  }

  /// As `putInForce`, for a set whose rules had come into force already when the engine that used the
  /// region before ended.
  public func resume(_ policies: PolicySet) { policies.putInForce() }

  // MARK: One bucket

  /// What `rule` says to a query whose bucket was written by other rules; `nil` where its words changed
  /// while being read. Writes nothing.
  @inline(never) func lookAcrossRules(
    _ rule: UnsafePointer<Rule>, _ slot: Slot, _ current: StateWord, _ cost: UInt64, _ now: Instant,
    _ intent: Intent, _ level: UInt8
  ) -> Site? {
    // The rules have changed since this decision began: go on by those in force.
    if rule.pointee.isFormer, let newer = rule.pointee.counterpart {
      guard let previous = Self.previous(newer, slot, while: current) else { return nil }
      return Self.site(newer, slot: slot, current, previous: previous, cost, now, intent, level)
    }
    let isShared = Self.isShared(rule, level: level)
    guard let words = converted(slot, current, to: rule, isShared: isShared) else { return nil }
    var site = Self.site(
      rule, slot: nil, words.current, previous: words.previous, cost, now, intent, level)
    site.slot = slot
    site.current = current
    site.previous = words.seen
    // More than one exchange is needed: `adopt` first.
    site.rolls = true
    site.isOlder = true
    return site
  }

  /// Whether a bucket `level` scopes wider than a rule's own is one of everybody's in which tenants
  /// overflow: all of them have one period, and it has that for good.
  static func isShared(_ rule: UnsafePointer<Rule>, level: UInt8) -> Bool {
    level > 0 && rule.pointee.scope.rawValue + level == Scope.global.rawValue
  }

  /// What a bucket's words mean under `rule`, which is in force; `nil` where they changed while being
  /// read.
  ///
  /// - Parameter isShared: the same as before, whoever looks: by which other rules he had been decided
  ///   says nothing of a bucket of this period.
  private func converted(
    _ slot: Slot, _ current: StateWord, to rule: UnsafePointer<Rule>, isShared: Bool
  ) -> (current: StateWord, previous: StateWord, seen: StateWord)? {
    if isShared {
      guard let seen = current.isWindow ? slot.loadPrevious(while: current) : .empty else {
        return nil
      }
      let counts = seen.isWindow && seen.tick == current.tick && !current.isFrozen
      return (
        current.with(head: rule.pointee.head), counts ? seen.with(head: rule.pointee.head) : seen,
        seen
      )
    }
    // Without a set before, the parity says nothing: a region that was used by the same rules.
    let former = (rule.pointee.counterpart ?? rule).pointee
    guard current.isWindow else {
      let word = Conversion.tokenBucket(
        current, from: former, to: rule.pointee, changedAt: rulesChangedAt)
      return (word, .empty, .empty)
    }
    guard let seen = slot.loadPrevious(while: current) else { return nil }
    let words = Conversion.window(
      current, previous: seen, from: former, to: rule.pointee, changedAt: rulesChangedAt)
    return (words.current, words.previous, seen)
  }

  /// Stores what a bucket's words mean under `rule`, so that the next look finds them written by it.
  /// If it fails, another thread has changed the bucket.
  ///
  /// A window's `previous` goes first: beside a `current` of former rules it counts the same, whichever
  /// rules it was written by.
  ///
  /// - Parameters:
  ///   - isShared: see `isShared(_:level:)`.
  ///   - notesLowering: whether the slot is to be left alone until all words of former rules that it had
  ///     lie in the past (`Owner.tallest`): where decisions by those may be under way.
  func adopt(
    _ slot: Slot, _ current: StateWord, to rule: UnsafePointer<Rule>, isShared: Bool,
    at now: Instant, notesLowering: Bool = true
  ) {
    guard let words = converted(slot, current, to: rule, isShared: isShared) else { return }
    if current.isWindow {
      let isCarried = words.previous.isWindow && words.previous != words.seen
      if isCarried && !slot.exchangePrevious(words.seen, with: words.previous) { return }
    } else if notesLowering {
      slot.noteLowering(of: current, at: now)
    }
    _ = slot.exchangeCurrent(current, with: words.current)
  }

  // MARK: All buckets

  /// Converts what was written by former rules, so that the next change finds one kind of words only.
  /// Nothing waits for it: whoever meets such a bucket earlier converts it by itself, to the same.
  ///
  /// Buckets of limits that `policies` does not have end. O(slots), some 10 ms per million; one thread.
  /// - Precondition: `policies` is in force, and every decision that began before it was is made.
  @discardableResult public func convert(under policies: PolicySet, at now: Instant)
    -> ConversionCount
  {
    let pass = ConversionPass(policies, registry: registry, directory: directory)
    var count = ConversionCount()
    for scope in Scope.allCases {
      let table = table(scope.rawValue).pointee
      table.forEachUsedBucket(in: 0..<table.bucketCount) { bucket in
        for lane in 0..<Slot.perBucket {
          let slot = table.slot(lane, inBucket: bucket)
          convert(slot, inBucket: bucket, of: table, scope, pass, at: now, &count)
        }
      }
    }
    storages.noteConversion(to: policies.generation)
    return count
  }

  /// Ends because each further turn means that another thread changed the bucket, and all do so by the
  /// rules in force.
  private func convert(
    _ slot: Slot, inBucket bucket: UInt64, of table: BucketTable, _ scope: Scope,
    _ pass: borrowing ConversionPass, at now: Instant, _ count: inout ConversionCount
  ) {
    var isConverted = false
    defer { if isConverted { count.converted += 1 } }
    while true {
      let word = slot.loadCurrent()
      guard word.isLive, word.isTokenBucket || word.isWindow else { return }
      switch pass.fate(of: slot.loadOwner(), word, in: scope) {
      case .unknown: return
      case .ended:
        if table.end(slot, word, inBucket: bucket, at: now) {
          if !word.isDead(at: now) { count.ended += 1 }
          return
        }
      case .rule(let rule, let isShared):
        if word.head == rule.pointee.head {
          renewPrevious(of: slot, word)
          return
        }
        // No decision that could store a word of former rules is left, so none can come again.
        adopt(slot, word, to: rule, isShared: isShared, at: now, notesLowering: false)
        isConverted = true
      }
    }
  }

  /// Replaces a `previous` that counts nothing by one of this window that does so: its head must not be
  /// taken for that of rules to come.
  private func renewPrevious(of slot: Slot, _ word: StateWord) {
    guard word.isWindow, !word.isFrozen, let previous = slot.loadPrevious(while: word),
      previous.isWindow, !previous.isSameWindow(as: word)
    else { return }
    _ = slot.exchangePrevious(previous, with: .window(word.head, expiry: word.tick, count: 0))
  }
}

/// What a pass over all buckets did.
public struct ConversionCount: Hashable, Sendable {
  /// Buckets that say the same in the words of the rules in force.
  public var converted = 0
  /// Buckets that mattered and whose limit there is no more.
  public var ended = 0

  public init(converted: Int = 0, ended: Int = 0) {
    self.converted = converted
    self.ended = ended
  }

  public static func += (sum: inout ConversionCount, count: ConversionCount) {
    sum.converted += count.converted
    sum.ended += count.ended
  }
}

/// What a pass needs to know whose a bucket is.
struct ConversionPass: ~Copyable {
  enum Fate {
    /// - Parameter isShared: see `Engine.isShared(_:level:)`.
    case rule(UnsafePointer<Rule>, isShared: Bool)
    /// There is no such limit any more.
    case ended
    /// Nobody knows whose it is; it stays.
    case unknown
  }

  private let policies: PolicySet
  private let registry: LimitRegistry
  private let directory: TenantDirectory
  private let limits: [UInt64: LimitIndex]

  init(_ policies: PolicySet, registry: LimitRegistry, directory: TenantDirectory) {
    self.policies = policies
    self.registry = registry
    self.directory = directory
    let all = policies.limits.indices.map { LimitIndex(UInt16($0)) }
    limits = Dictionary(
      all.map { (policies.identity(of: $0), $0) }, uniquingKeysWith: { first, _ in first })
  }

  func fate(of owner: Owner, _ word: StateWord, in scope: Scope) -> Fate {
    guard let identity = registry.identity(of: owner.limit) else { return .unknown }
    guard let limit = limits[identity] else { return .ended }
    let own = policies.limits[Int(limit.rawValue)].scope
    // A limit that has another scope now has other buckets; a wider table also has its overflow.
    guard scope.rawValue >= own.rawValue else { return .ended }
    let row = policies.lastingRow(of: directory.fingerprint(of: owner.tenant))
    let rule = policies.newestRule(for: limit, ofRow: row)
    guard (rule.pointee.algorithm == .tokenBucket) == word.isTokenBucket else { return .ended }
    // Where a limit narrows its scope, its buckets lie where those of the new one overflow.
    if policies.freshLimits.contains(limit), word.head != rule.pointee.head { return .ended }
    return .rule(rule, isShared: scope == .global && own != .global)
  }
}

extension BucketTable {
  /// Ends a live bucket of a limit that is gone, whatever it says. Whether this thread did it.
  ///
  /// Its slot is free at once: nobody is left who could store, or expects, a word of that limit.
  func end(_ slot: Slot, _ word: StateWord, inBucket bucket: UInt64, at now: Instant) -> Bool {
    guard slot.exchangeCurrent(word, with: .claimed(nonce: shards.nextNonce(inBucket: bucket)))
    else { return false }
    let owner = slot.loadOwner()
    countDeparture(of: owner, inBucket: bucket)
    slot.abandon(floor: now.nanoseconds)
    return true
  }
}
