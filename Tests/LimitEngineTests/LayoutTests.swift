// What the memory layout and the encodings promise.

import Synchronization
import Testing

@testable import LimitEngine

@Suite struct LayoutTests {
  @Test("A slot is 32 bytes, a bucket 128, and the words lie where the drawing says") func layout()
  {
    #expect(MemoryLayout<Atomic<UInt64>>.size == 8)
    #expect(MemoryLayout<Atomic<UInt64>>.stride == 8)
    #expect(MemoryLayout<Atomic<UInt64>>.alignment == 8)
    #expect(Slot.wordsPerBucket * 8 == 128)
    #expect(Slot.wordsPerBucket * 8 / Slot.perBucket == Slot.bytes)
    let words = UnsafeMutablePointer<Word>.allocate(capacity: 2 * Slot.wordsPerBucket)
    defer { words.deallocate() }
    let slot = Slot(base: words + 3)
    #expect(slot.tag == words + 3)
    #expect(slot.current == words + 7)
    #expect(slot.previous == words + 11)
    #expect(slot.owner == words + 15)
  }

  @Test("A policy's most sites fit on the stack, and a decision and a query stay small")
  func sizes() {
    #expect(MemoryLayout<Site>.stride * PolicySetBuilder.limitsPerPolicyMax <= 1024)
    #expect(MemoryLayout<Rule>.stride == 64)
    #expect(MemoryLayout<Query>.stride <= 64)
    #expect(MemoryLayout<Decision>.stride <= 80)
  }

  @Test("Every kind of state word says what it is, and nothing else") func stateWords() {
    let late = Tick(value: .max)
    let bucket = StateWord.head(of: .tokenBucket, parity: 0)
    let window = StateWord.head(of: .slidingWindow, parity: 0)
    let words: [(StateWord, live: Bool, pending: Bool, claimed: Bool, window: Bool)] = [
      (.empty, false, false, false, false),
      (.tokenBucket(bucket, tat: 0), true, false, false, false),
      (.tokenBucket(bucket | 1, tat: .max), true, false, false, false),
      (.window(window, expiry: late, count: 0), true, false, false, true),
      (.window(window | 1, expiry: late, count: StateWord.countMax), true, false, false, true),
      (.window(window, expiry: late, count: 1).frozen, true, false, false, true),
      (.concurrency(since: late, held: 0), true, false, false, false),
      (.concurrency(since: late, held: StateWord.countMax), true, false, false, false),
      (.claimed(nonce: .max), false, false, true, false),
      (.claimed(nonce: 0), false, false, true, false),
      (.pending(nonce: .max), false, true, false, false),
      (.pending(nonce: 1 << 27), false, true, false, false),
    ]
    for (word, live, pending, claimed, window) in words {
      #expect(word.isLive == live, "\(word)")
      #expect(word.isPending == pending, "\(word)")
      #expect(word.isClaimed == claimed, "\(word)")
      #expect(word.isWindow == window, "\(word)")
    }
    #expect(Set(words.map(\.0.rawValue)).count == words.count)
    for head in [window, window | 1] {
      let word = StateWord.window(head, expiry: late, count: 77)
      #expect(word.count == 77)
      #expect(word.tick == late)
      #expect(word.head == head)
      #expect(word.floor == 0)
      #expect(!word.isFrozen)
      #expect(word.frozen.isFrozen && word.frozen.head == head && word.frozen.count == 77)
      #expect(word.isSameWindow(as: .window(head, expiry: late, count: 3)))
      #expect(!word.isSameWindow(as: .window(head ^ 1, expiry: late, count: 77)))
      #expect(!word.isSameWindow(as: word.frozen))
    }
    #expect(StateWord.floor(12).floor == 12)
    #expect(!StateWord.floor((1 << 63) - 2).isWindow)
  }

  @Test("A token bucket's time is read rightly within 36 years of now, at any time")
  func times() {
    let head = StateWord.head(of: .tokenBucket, parity: 1)
    #expect(StateWord.tokenBucket(head, tat: 12).head == head)
    for now in [0, 1 << 40, (1 << 61) - 5, 1 << 61, (1 << 62) - 1] as [UInt64] {
      for debt in [0, 1, 1 << 59, StateWord.debtMax] as [UInt64] {
        let word = StateWord.tokenBucket(head, tat: now + debt)
        #expect(word.debt(at: now) == debt)
        #expect(word.tat(near: now) == now + debt)
        #expect(word.debt(at: now + debt + (1 << 59)) == 0)
        #expect(word.isDead(at: Instant(nanoseconds: now)) == false)
      }
    }
    #expect(StateWord.empty.debt(at: (1 << 61) + 1) == 0)
  }

  @Test("A word is dead only strictly before now, and a held permit never") func deadness() {
    let now = Instant(nanoseconds: 1 << 40)
    #expect(StateWord.tokenBucket(2, tat: (1 << 40) - 1).isDead(at: now))
    #expect(!StateWord.tokenBucket(2, tat: 1 << 40).isDead(at: now))
    let today = Tick(containing: 1 << 40)
    let before = Tick(value: today.value - 1)
    #expect(StateWord.window(4, expiry: before, count: 5).isDead(at: now))
    #expect(!StateWord.window(4, expiry: today, count: 5).isDead(at: now))
    #expect(StateWord.concurrency(since: before, held: 0).isDead(at: now))
    #expect(!StateWord.concurrency(since: today, held: 0).isDead(at: now))
    #expect(!StateWord.concurrency(since: before, held: 1).isDead(at: now))
    #expect(!StateWord.pending(nonce: 0).isDead(at: now))
    #expect(!StateWord.claimed(nonce: 0).isDead(at: now))
  }

  @Test("An owner keeps tenant, limit and the tallest lowered word apart")
  func owners() {
    let owner = Owner(
      tenant: TenantNumber(rawValue: 16_777_213), limit: LimitNumber(rawValue: 2_046))
    #expect(owner.limit == LimitNumber(rawValue: 2_046))
    #expect(!owner.isGuest)
    let guest = Owner(tenant: owner.tenant, limit: owner.limit, isGuest: true)
    #expect(guest.isGuest && guest.tenant == owner.tenant && guest.limit == owner.limit)
    #expect(owner.tallest == 0)
    #expect(owner.raised(to: 0) == owner)
    let largest: UInt64 = (1 << 62) + (1 << 61)
    for nanoseconds in [1, 1 << 35, (1 << 35) + 1, largest] as [UInt64] {
      let raised = owner.raised(to: nanoseconds)
      #expect(raised.tenant == owner.tenant && raised.limit == owner.limit)
      #expect(raised.tallest >= nanoseconds)
      #expect(raised.tallest - nanoseconds < 1 << Owner.unitShift)
      #expect(raised.raised(to: nanoseconds) == raised)
    }
    #expect(Owner(tenant: .none, limit: .none).raised(to: largest).tenant == .none)
  }

  @Test("A slot whose word was lowered is taken only once the lowered word has passed")
  func loweredWords() {
    // Four slots: a bucket that was refunded, and three keys that fill the rest.
    let fixture = Fixture(
      [(.key, tokenBucket(every: second, burst: 60))], keySlots: 4, keysPerTenant: .max)
    let spent = fixture.check(fixture.query("refunded", cost: 60), at: second)
    let settlement = fixture.engine.settle(
      fixture.query("refunded"), spent.receipt, actual: 0, under: fixture.policies,
      at: Instant(nanoseconds: second))
    #expect(settlement == .settled)
    func overflows(_ key: String, at now: UInt64) -> Bool {
      fixture.check(fixture.query(key, cost: 60), at: now).flags.contains(.overflow)
    }
    for key in ["a", "b", "c"] { #expect(!overflows(key, at: 2 * second)) }
    #expect(overflows("d", at: 3 * second))
    // 61 s and at most 34 s more.
    #expect(overflows("e", at: 60 * second))
    fixture.engine.sweep(at: Instant(nanoseconds: 60 * second))
    #expect(fixture.engine.occupancy(.key).live == 4)
    fixture.engine.sweep(at: Instant(nanoseconds: 61 * second + (1 << Owner.unitShift)))
    #expect(fixture.engine.occupancy(.key).live == 0)
    #expect(fixture.engine.invariantViolation(at: Instant(nanoseconds: 0)) == nil)
  }

  @Test("Ticks are compared across their wrap") func tickDistance() {
    let last = Tick(value: Tick.mask)
    let first = Tick(value: 0)
    #expect(first.distance(after: last) == 1)
    #expect(last.distance(after: first) == -1)
    #expect(Tick(value: 1 << 24).distance(after: first) == -(1 << 24))
    #expect(Tick(atOrAfter: 1) == Tick(value: 1))
    #expect(Tick(atOrAfter: 1 << 29) == Tick(value: 1))
    #expect(Tick(containing: (1 << 29) - 1) == Tick(value: 0))
    #expect(Tick(containing: 1 << 54) == Tick(value: 0))
    #expect(Tick(value: 3).start(near: (1 << 54) - 1) == (1 << 54) + (3 << 29))
    #expect(Tick(value: Tick.mask).start(near: 1 << 54) == (1 << 54) - (1 << 29))
    #expect(Tick(value: Tick.mask).start(near: 0) == 0)
  }
}
