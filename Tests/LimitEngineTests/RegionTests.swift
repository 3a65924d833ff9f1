// A region: where its parts lie, what is refused, what is found in it again.

import Synchronization
import TestSupport
import Testing

@testable import LimitEngine

@Suite struct RegionTests {
  private static let limits: [(Scope, LimitSettings)] = [
    (.key, tokenBucket(every: 30 * second, burst: 100)),
    (.tenant, slidingWindow(limit: 50, window: 60 * second)),
    (.global, tokenBucket(every: second, burst: 1_000)),
    (.key, slidingWindow(limit: 70, window: 60 * second)),
  ]

  @Test("Every part lies where the drawing says, one behind the other, on pages of its own")
  func layout() throws {
    let layout = RegionLayout(.tiny)
    let parts: [(offset: Int, bytes: Int)] = [
      (0, 4_096), (layout.countersOffset, 3 * (16 + 64 * 16) * 8),
      (layout.registryOffset, 2_048 * 16),
      (layout.directoryOffset, TenantDirectory.wordCount(places: 64) * 8),
      (layout.globalsOffset, 4_096 * 32), (layout.tenantsOffset, 64 * 32),
      (layout.keysOffset, 64 * 32),
    ]
    var end = 0
    for part in parts {
      #expect(part.offset == end)
      end = (part.offset + part.bytes + 4_095) / 4_096 * 4_096
    }
    #expect(layout.byteCount == end)
    #expect(Engine.byteCount(.tiny) == end)
    let large = Engine.byteCount(Engine.Configuration())
    #expect(large > (1 << 20) * 32 && large < (1 << 20) * 32 + (9 << 20))
  }

  @Test("The header's words lie where the drawing says") func header() {
    let survivor = Survivor(Self.limits, at: 5 * day)
    let words = survivor.memory.bytes.bindMemory(to: UInt64.self)
    let layout = RegionLayout(.tiny)
    #expect(words[0] == 0x6c69_6d69_7464_5247)
    #expect(words[1] == RegionLayout.version)
    #expect(words[2] == UInt64(layout.byteCount))
    #expect(words[3] == 16 && words[4] == 16 && words[5] == 1_024)
    #expect(words[6] == UInt64(layout.directoryPlaces) && words[7] == 2_048)
    #expect(words[16] >> 16 == (5 * day + (1 << 51)) >> 16)
    #expect(words[17] == 0)
    #expect((18..<512).allSatisfy { words[$0] == 0 })
  }

  @Test("An engine goes on with every decision that another made in the region")
  func goesOn() throws {
    let survivor = Survivor(Self.limits, at: 100 * day)
    let twin = Fixture(Self.limits)
    var random = SeededGenerator(seed: testSeed)
    var current = survivor
    var now = 100 * day
    for step in 0..<400 {
      now += random.next() % second
      if step % 10 == 9 {
        current = try current.recovered(at: now)
        #expect(current.recovery.damaged == 0 && current.recovery.halfFilled == 0)
        #expect(current.fixture.engine.invariantViolation(at: Instant(nanoseconds: now)) == nil)
      }
      let key = "user-\(random.next() % 5)"
      let policy = Int(random.next() % 5)
      let cost = random.next() % 4
      let left = current.check(
        current.fixture.query(key, policy: policy, cost: cost), at: now)
      let right = twin.check(twin.query(key, policy: policy, cost: cost), at: now)
      guard left == right else {
        Issue.record("seed \(testSeed), step \(step): \(left) is not \(right)")
        return
      }
    }
  }

  @Test("What is no region of this installation is refused by name, and nothing in it changes")
  func refusals() throws {
    func adopt(_ memory: SharedMemory, _ count: Int? = nil, key: HashKey = testHashKey)
      -> RegionError?
    {
      let before = memory.bytes.map { $0 }
      defer { #expect(memory.bytes.elementsEqual(before)) }
      do throws(RegionError) {
        let part = UnsafeMutableRawBufferPointer(rebasing: memory.bytes[..<(count ?? before.count)])
        _ = try EngineRegion(adopting: part, hashKey: key, release: { _ in })
        return nil
      } catch {
        return error
      }
    }
    let survivor = Survivor(Self.limits, at: second)
    let size = survivor.memory.bytes.count
    #expect(adopt(survivor.memory) == nil)
    #expect(adopt(SharedMemory(size)) == .notARegion)
    #expect(adopt(survivor.memory, key: HashKey(low: 1, high: 3)) == .otherHashKey)
    #expect(adopt(survivor.memory, 4_095) == .truncated(needed: 4_096))
    for count in 0..<size {
      let part = UnsafeMutableRawBufferPointer(rebasing: survivor.memory.bytes[..<count])
      var error: RegionError?
      do throws(RegionError) {
        _ = try EngineRegion(adopting: part, hashKey: testHashKey, release: { _ in })
      } catch let refusal { error = refusal }
      guard error != .truncated(needed: count < 4_096 ? 4_096 : size) else { continue }
      Issue.record("\(count) bytes: \(error.map { "\($0)" } ?? "taken")")
    }
    let newer = SharedMemory(copying: survivor.memory)
    newer.bytes.storeBytes(of: RegionLayout.version + 1, toByteOffset: 8, as: UInt64.self)
    #expect(adopt(newer) == .otherVersion(RegionLayout.version + 1))
    #expect("\(RegionError.truncated(needed: 7))" == "it is cut short: 7 bytes are needed")
  }

  @Test(
    "Every flipped bit of the header is refused, or is in a word that the engine does not read",
    arguments: [false, true])
  func flippedBits(amidChange: Bool) throws {
    let survivor = Survivor(Self.limits, at: second)
    let rules = RulesInForce(
      generation: 6, isChanging: amidChange, changedAt: second, source: 7,
      formerSource: amidChange ? 8 : nil)
    survivor.fixture.engine.setRules(rules)
    #expect(try survivor.recovered(at: second).fixture.engine.rules == rules)
    let query = survivor.fixture.query(cost: 3)
    let expected = survivor.check(query, at: 2 * second).remaining
    let ignored = 21 * 8..<4_096
    for place in 0..<4_096 {
      for bit in 0..<8 where place < 320 || bit == place % 8 {
        let flipped = survivor
        flipped.memory.bytes[place] ^= 1 << UInt8(bit)
        defer { flipped.memory.bytes[place] ^= 1 << UInt8(bit) }
        let isRefused =
          (try? EngineRegion(
            adopting: flipped.memory.bytes, hashKey: testHashKey, release: { _ in })) == nil
        let isChecked = place < 80 || 128..<168 ~= place
        #expect(isRefused == isChecked, "byte \(place), bit \(bit)")
      }
      survivor.memory.bytes[place] ^= 0xff
      defer { survivor.memory.bytes[place] ^= 0xff }
      guard ignored.contains(place) else {
        let next = try? survivor.recovered(at: 2 * second)
        #expect(next == nil || 80..<128 ~= place, "byte \(place)")
        continue
      }
      guard place % 37 == 0 || place < 320 else { continue }
      let next = try survivor.recovered(at: 2 * second)
      #expect(next.check(query, at: 2 * second).remaining == expected - 3)
    }
  }

  @Test("Any bytes at all behind a sound header are put right, and the engine decides")
  func anyBytes() throws {
    var random = SeededGenerator(seed: testSeed)
    let survivor = Survivor(Self.limits, at: day)
    let words = survivor.memory.bytes.bindMemory(to: UInt64.self)
    for _ in 0..<(40 / scale) {
      for place in 512..<words.count where random.chance(1, in: 3) {
        words[place] = random.next() >> (random.next() % 64)
      }
      let now = Instant(nanoseconds: day + second)
      let next = try survivor.recovered(at: day + second)
      #expect(next.fixture.engine.invariantViolation(at: now) == nil, "seed \(testSeed)")
      for key in 0..<40 {
        for policy in [1, 3] {
          _ = next.check(next.fixture.query("\(key)", policy: policy), at: day + second)
        }
      }
      next.fixture.engine.sweep(at: Instant(nanoseconds: 2 * day))
      #expect(next.fixture.engine.invariantViolation(at: now) == nil, "seed \(testSeed)")
    }
  }

  @Test("A flipped byte behind the header changes what one bucket says, and nothing else")
  func flippedBytes() throws {
    let survivor = Survivor(Self.limits, at: day)
    for number in 0..<6 {
      let query = survivor.fixture.query("user-\(number)", cost: 3)
      #expect(survivor.check(query, at: day).outcome == .allow)
    }
    let now = day + second
    /// What each of the 14 buckets has left.
    func says(_ survivor: Survivor) -> [UInt64] {
      (0..<6).flatMap { number in [1, 4].map { ("user-\(number)", $0) } }.map { key, policy in
        survivor.check(survivor.fixture.query(key, policy: policy, cost: 0), at: now).remaining
      }
        + [2, 3].map {
          survivor.check(survivor.fixture.query(policy: $0, cost: 0), at: now).remaining
        }
    }
    let before = says(try survivor.recovered(at: now))
    #expect(before == Array(repeating: [97, 67], count: 6).joined() + [32, 983])
    let bytes = survivor.memory.bytes
    let words = bytes.bindMemory(to: UInt64.self)
    // Every byte that says something, and a stride through the rest.
    var differing = 0
    for place in 4_096..<bytes.count where words[place / 8] != 0 || place % 1_021 == 0 {
      for mask in [0xff, 1 << UInt8(place % 8)] as [UInt8] {
        bytes[place] ^= mask
        defer { bytes[place] ^= mask }
        let next = try survivor.recovered(at: now)
        let violation = next.fixture.engine.invariantViolation(at: Instant(nanoseconds: now))
        #expect(violation == nil, "byte \(place) ^ \(mask)")
        let changed = zip(says(next), before).count { $0 != $1 }
        differing = max(differing, changed)
        #expect(changed <= 1, "byte \(place) ^ \(mask)")
      }
    }
    // A changed count is read as it stands: there is no checksum over words that decisions change.
    #expect(differing == 1)
  }

  @Test("A region of other sizes is taken over bucket by bucket", arguments: [16, 40, 64, 4_096])
  func otherSizes(keySlots: Int) throws {
    let limits = Self.limits
    let survivor = Survivor(limits, at: second)
    for number in 0..<12 {
      for _ in 0...number % 3 {
        _ = survivor.check(survivor.fixture.query("user-\(number)"), at: 2 * second)
      }
    }
    var configuration = Engine.Configuration.tiny
    configuration.keySlots = keySlots
    configuration.tenantsMax = 99
    let next = Survivor(limits, configuration, at: 3 * second)
    let old = SharedMemory(copying: survivor.memory)
    let region = try EngineRegion(adopting: old.bytes, hashKey: testHashKey) { [old] _ in _ = old }
    let engine = next.fixture.engine
    let copied = try engine.copyBuckets(from: region, at: Instant(nanoseconds: 3 * second))
    // Two buckets per key, one of the tenant, one of everybody.
    #expect(copied.found.live == 26)
    #expect(engine.invariantViolation(at: Instant(nanoseconds: 3 * second)) == nil)
    #expect((copied.dropped == 0) == (keySlots > 16))
    guard keySlots > 16 else { return }
    for number in 0..<12 {
      let query = survivor.fixture.query("user-\(number)")
      let expected = survivor.check(query, at: 3 * second)
      let actual = next.check(next.fixture.query("user-\(number)"), at: 3 * second)
      #expect(actual == expected)
    }
  }

  @Test("Records name their limit and tenant, and put back what they were taken from")
  func records() {
    let survivor = Survivor(Self.limits, at: second)
    let engine = survivor.fixture.engine
    let now = Instant(nanoseconds: 200 * second)
    for number in 0..<10 {
      let query = survivor.fixture.query("user-\(number)", cost: 2)
      // Both sides of a window's end, so that `previous` counts.
      _ = survivor.check(query, at: 175 * second)
      _ = survivor.check(query, at: 185 * second)
    }
    var records: [BucketRecord] = []
    for scope in Scope.allCases {
      for start in stride(from: 0, to: engine.groupCount(scope), by: 5) {
        let groups = start..<min(start + 5, engine.groupCount(scope))
        engine.forEachBucket(scope, inGroups: groups, at: now) { records.append($0) }
      }
    }
    let policies = survivor.fixture.policies
    let byLimit = Dictionary(grouping: records, by: \.limit).mapValues(\.count)
    let expected = [10, 1, 1, 10].enumerated().map {
      (policies.identity(of: LimitIndex(UInt16($0))), $1)
    }
    #expect(byLimit == Dictionary(uniqueKeysWithValues: expected))
    let acme = policies.tenant(named: "acme").fingerprint
    #expect(records.allSatisfy { ($0.tenant == acme) == ($0.scope != .global) })
    #expect(records.contains { $0.previous != 0 })

    let next = Survivor(Self.limits, at: 200 * second)
    var cursor = Engine.RestoreCursor()
    for record in records {
      guard case .restored = next.fixture.engine.restore(record, at: now, &cursor) else {
        Issue.record("\(record) was not restored")
        return
      }
    }
    if case .exists = next.fixture.engine.restore(records[0], at: now, &cursor) {
    } else {
      Issue.record("a bucket was restored twice")
    }
    #expect(next.fixture.engine.invariantViolation(at: now) == nil)
    for number in 0..<10 {
      let query = survivor.fixture.query("user-\(number)", cost: 0)
      let other = next.fixture.query("user-\(number)", cost: 0)
      #expect(next.check(other, at: 201 * second) == survivor.check(query, at: 201 * second))
    }
  }

  @Test("Records that no bucket can have are refused") func damagedRecords() {
    let survivor = Survivor(Self.limits, at: second)
    let now = Instant(nanoseconds: second)
    let good = BucketRecord(
      scope: .key, isGuest: false, tag: 7, limit: 1, tenant: nil,
      current: StateWord.tokenBucket(2, tat: 3 * second).rawValue, previous: 0)
    var cursor = Engine.RestoreCursor()
    func restore(_ change: (inout BucketRecord) -> Void) -> Engine.Restoration {
      var record = good
      change(&record)
      return survivor.fixture.engine.restore(record, at: now, &cursor)
    }
    let window = StateWord.window(4, expiry: Tick(containing: 9 * second), count: 1).rawValue
    let changes: [(inout BucketRecord) -> Void] = [
      { $0.tag = 0 }, { $0.tag = .max }, { $0.current = 0 }, { $0.previous = window },
      { $0.current = StateWord.claimed(nonce: 1).rawValue },
      { $0.current = StateWord.pending(nonce: 1).rawValue },
      { $0.current = StateWord.concurrency(since: Tick(value: 1), held: 1).rawValue },
      { ($0.current, $0.previous) = (window, good.current) },
    ]
    for change in changes { #expect(restore(change) == .damaged) }
    #expect(restore { $0.current = StateWord.tokenBucket(2, tat: 9).rawValue } == .dead)
    #expect(restore { _ in } == .restored)
    #expect(restore { _ in } == .exists)
  }

  @Test("A slot's limit and tenant are the same after a reload that reorders the limits")
  func reorderedLimits() throws {
    let survivor = Survivor(Self.limits, at: second)
    let query = survivor.fixture.query()
    _ = survivor.check(query, at: 2 * second)
    let engine = survivor.fixture.engine
    let turned = Fixture(
      Self.limits.reversed(), engine: engine, names: (0..<4).reversed().map { "limit-\($0)" })
    for number in 0..<4 {
      let owner = try #require(survivor.slot(query, limit: number)).loadOwner()
      let identity = engine.registry.identity(of: owner.limit)
      #expect(identity == survivor.fixture.policies.identity(of: LimitIndex(UInt16(number))))
      #expect(identity == turned.policies.identity(of: LimitIndex(UInt16(3 - number))))
      let tenant = number == 2 ? nil : query.tenant.fingerprint
      #expect(engine.directory.fingerprint(of: owner.tenant) == tenant)
    }
    // The bucket itself is found by the reordered set.
    #expect(turned.check(turned.query(policy: 4, cost: 0), at: 2 * second).remaining == 99)
  }

  @Test("The registry gives every limit one number, and says when it is full") func registry() {
    let words = UnsafeMutablePointer<Word>.allocate(capacity: LimitRegistry.wordCount)
    defer { words.deallocate() }
    for place in 0..<LimitRegistry.wordCount { (words + place).initialize(to: Word(0)) }
    let registry = LimitRegistry(words: words)
    var random = SeededGenerator(seed: testSeed)
    let identities = (0..<2_047).map { _ in random.next() | 1 }
    let numbers = identities.map { registry.number(ofIdentity: $0) }
    #expect(Set(numbers).count == 2_047 && !numbers.contains(.none))
    #expect(identities.map { registry.number(ofIdentity: $0) } == numbers)
    #expect(numbers.map { registry.identity(of: $0) } == identities)
    #expect(registry.number(ofIdentity: 2) == .none)
    #expect(registry.identity(of: .none) == nil)
    // Half of them are used no more: the others keep their numbers, and there is room again.
    var isUsed = [Bool](repeating: false, count: LimitRegistry.places)
    for number in numbers.prefix(20) { isUsed[Int(number.rawValue)] = true }
    registry.keep(isUsed)
    #expect(
      identities.prefix(20).map { registry.number(ofIdentity: $0) } == Array(numbers.prefix(20)))
    #expect(registry.number(ofIdentity: 2) != .none)
  }

  @Test("The store's words are kept and change nothing") func storeWords() throws {
    let memory = SharedMemory(Engine.byteCount(.tiny))
    let region = EngineRegion(
      formatting: memory.bytes, for: .tiny, hashKey: testHashKey, at: Instant(nanoseconds: 0),
      release: { _ in })
    for number in 0..<8 {
      #expect(region.storeWord(number) == 0)
      region.setStoreWord(number, to: .max - UInt64(number))
    }
    let later = try EngineRegion(adopting: memory.bytes, hashKey: testHashKey, release: { _ in })
    for number in 0..<8 { #expect(later.storeWord(number) == .max - UInt64(number)) }
    #expect(!later.isFresh && region.isFresh)
  }

  @Test("A horizon's word tells by itself whether it is whole") func horizons() {
    for nanoseconds in [0, 1, second, 300 * day, Instant.max.nanoseconds] {
      let horizon = Horizon(after: Instant(nanoseconds: nanoseconds))
      #expect(Horizon(rawValue: horizon.rawValue) == horizon)
      #expect(nanoseconds - horizon.sweptAt < 1 << 16)
      for bit in 0..<64 as Range<UInt64> {
        #expect(Horizon(rawValue: horizon.rawValue ^ 1 << bit) == nil, "bit \(bit)")
      }
    }
    #expect(Horizon(rawValue: 0) == nil)
  }
}
