// Receipts: only what this installation wrote, for this tenant and key, corrects anything.

import CIntrinsics
import TestSupport
import Testing

@testable import LimitEngine

@Suite struct ReceiptTests {
  private let settings = [
    (Scope.global, slidingWindow(limit: 1_000, window: 60 * second)),
    (Scope.key, tokenBucket(every: second, burst: 100)),
  ]

  @Test(
    "A receipt of another tenant, key, list of limits or installation is stale, and does nothing")
  func othersReceipts() {
    let fixture = Fixture(settings)
    let elsewhere = Fixture(settings, hashKey: HashKey(low: 8, high: 9))
    let now = Instant(nanoseconds: 60 * second)
    let mine = fixture.query("mine", cost: 50)
    let receipt = fixture.check(mine, at: 60 * second).receipt
    #expect(receipt.mac != 0)
    #expect(
      fixture.check(fixture.query("x", tenant: "globex", cost: 50), at: now.nanoseconds).outcome
        == .allow)
    let before = fixture.engine.peek(
      fixture.query("x", policy: 1), under: fixture.policies, at: now)
    for other in [
      fixture.query("other", cost: 50), fixture.query("", cost: 50),
      fixture.query("mine", tenant: "globex", cost: 50), fixture.query("mine", policy: 1, cost: 50),
    ] {
      #expect(
        fixture.engine.settle(other, receipt, actual: 0, under: fixture.policies, at: now) == .stale
      )
      #expect(
        fixture.engine.settle(other, receipt, actual: 99, under: fixture.policies, at: now)
          == .stale)
    }
    #expect(
      elsewhere.engine.settle(
        elsewhere.query("mine", cost: 50), receipt, actual: 0, under: elsewhere.policies, at: now)
        == .stale)
    let after = fixture.engine.peek(fixture.query("x", policy: 1), under: fixture.policies, at: now)
    #expect(after == before)
    #expect(
      fixture.engine.settle(mine, receipt, actual: 0, under: fixture.policies, at: now) == .settled)
  }

  @Test("A forged receipt does not refill a limit that another tenant drained") func forged() {
    let fixture = Fixture(settings)
    #expect(fixture.check(fixture.query("a", policy: 1, cost: 1_000), at: 1).outcome == .allow)
    let now = Instant(nanoseconds: 2)
    var receipt = Receipt(
      tag: fixture.policies.tag(of: PolicyIndex(1)), decidedAt: Instant(nanoseconds: 1),
      cost: 1_000,
      charged: 1)
    var random = SeededGenerator(seed: testSeed)
    let query = fixture.query("b", tenant: "globex", policy: 1)
    for _ in 0..<1_000 {
      #expect(
        fixture.engine.settle(query, receipt, actual: 0, under: fixture.policies, at: now) == .stale
      )
      receipt.mac = random.next()
    }
    #expect(fixture.check(query, at: 3).outcome == .deny)
  }

  @Test("Settled twice, a receipt corrects twice, and never above full") func twice() {
    let fixture = Fixture(settings)
    let query = fixture.query(policy: 2, cost: 40)
    let receipt = fixture.check(query, at: second).receipt
    _ = fixture.check(query, at: second)
    let now = Instant(nanoseconds: second)
    for left in [60, 100, 100] as [UInt64] {
      #expect(
        fixture.engine.settle(query, receipt, actual: 0, under: fixture.policies, at: now)
          == .settled)
      let peek = fixture.engine.peek(query, under: fixture.policies, at: now)
      #expect(peek.remaining == left)
    }
  }

  @Test("The decision names the shadow limits that would have denied, and tenants without limits")
  func shadows() {
    var plan = PolicyPlan()
    plan.limits = [
      LimitDefinition(name: "a", scope: .key, settings: tokenBucket(every: second, burst: 9)),
      LimitDefinition(
        name: "b", scope: .key, settings: tokenBucket(every: second, burst: 1, mode: .shadow)),
      LimitDefinition(
        name: "c", scope: .key, settings: tokenBucket(every: second, burst: 2, mode: .shadow)),
    ]
    plan.policies = [[0, 1, 2]]
    plan.tenants = [PolicyPlan.TenantPlan(name: "free", standing: .unlimited)]
    let policies = plan.compile()
    let engine = Engine()
    func check(_ name: String) -> Decision {
      let tenant = policies.tenant(named: name)
      let query = Query(
        tenant: tenant, policy: PolicyIndex(0), key: tenant.fingerprint(ofKey: ""), cost: 1)
      return engine.check(query, under: policies, at: Instant(nanoseconds: second))
    }
    #expect((0..<3).map { _ in check("acme").receipt.shadow } == [0, 0b010, 0b110])
    #expect((0..<10).map { _ in check("free").receipt.shadow }.last == 0b111)
    #expect(check("acme").reason == .limit)
    #expect(check("free").reason == .unlimited)
    #expect(check("free").outcome == .allow)
  }

  @Test("AES-128 is the standard's") func aes() throws {
    // FIPS 197, appendix C.1.
    let key = HashKey(low: 0x0706_0504_0302_0100, high: 0x0f0e_0d0c_0b0a_0908)
    var keys = ReceiptKey.expand(key)
    let plain = limitd_block(low: 0x7766_5544_3322_1100, high: 0xffee_ddcc_bbaa_9988)
    for block in [limitd_aes_encrypt(&keys, plain), limitd_aes_encrypt_by_tables(&keys, plain)] {
      #expect(block.low.bigEndian == 0x69c4_e0d8_6a7b_0430)
      #expect(block.high.bigEndian == 0xd8cd_b780_70b4_c55a)
    }
  }

  @Test("A mark is the same with AES instructions and without") func marksOnAnyProcessor() {
    var random = SeededGenerator(seed: testSeed)
    var keys = ReceiptKey.expand(HashKey(low: 5, high: 6))
    for _ in 0..<1_000 {
      let message = limitd_block(low: random.next(), high: random.next())
      let secret = limitd_block(low: random.next(), high: random.next())
      var marks: (UInt64, UInt64) = (0, 0)
      limitd_aes_mark(&keys, message, secret, &marks.0)
      limitd_aes_mark_by_tables(&keys, message, secret, &marks.1)
      let block = limitd_aes_encrypt(
        &keys, limitd_block(low: message.low ^ secret.low, high: message.high ^ secret.high))
      #expect(marks.0 == marks.1 && marks.0 == block.low ^ secret.low, "seed \(testSeed)")
    }
  }

  @Test("Every bit of a receipt, a key and a list counts in its mark") func everyBitCounts() {
    var keys = ReceiptKey.expand(HashKey(low: 5, high: 6))
    withUnsafePointer(to: &keys) { keys in
      let receiptKey = ReceiptKey(keys)
      let key = Fingerprint(low: 1, high: 2)
      let list = Fingerprint(low: 3, high: 4)
      let receipt = Receipt(tag: 1, decidedAt: Instant(nanoseconds: 99), cost: 7, charged: 3)
      var marks: [UInt64] = []
      func add(_ receipt: Receipt, _ key: Fingerprint, _ list: Fingerprint) {
        var marked = receipt
        receiptKey.mark(&marked, key: key, list: list)
        #expect(receiptKey.isGenuine(marked, key: key, list: list))
        marks.append(marked.mac)
      }
      add(receipt, key, list)
      for bit in 0..<64 as Range<UInt64> {
        let flip: UInt64 = 1 << bit
        var other = receipt
        other.cost ^= flip
        add(other, key, list)
        other = receipt
        if bit < 62 {
          other.decidedAt = Instant(nanoseconds: 99 ^ flip)
          add(other, key, list)
        }
        other = receipt
        if bit < 32 { other.escalated ^= UInt32(flip) }
        if bit >= 32 && bit < 48 { other.shadow ^= UInt16(flip >> 32) }
        if bit >= 48 { other.charged ^= UInt16(flip >> 48) }
        add(other, key, list)
        add(receipt, Fingerprint(low: key.low ^ flip, high: key.high), list)
        add(receipt, Fingerprint(low: key.low, high: key.high ^ flip), list)
      }
      #expect(marks.dropFirst().allSatisfy { $0 != marks[0] })
    }
  }
}
