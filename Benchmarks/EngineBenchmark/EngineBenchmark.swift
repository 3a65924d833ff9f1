// `make bench`: what a decision costs, hashing the key included, in nanoseconds.
//
//     taskset -c 0 EngineBenchmark one [--quick] [--only TEXT]           one thread
//     EngineBenchmark two [--quick]                                       two threads
//     EngineBenchmark one --small --only TEXT --decisions COUNT          untimed, on 1,000 keys
//
// The tenant is resolved once, as a connection that has bound its tenant and policy does; the key
// is hashed for every decision. --quick takes a tenth of the keys and calls.

import Glibc
import LimitEngine

@main struct EngineBenchmark {
  static func main() {
    let arguments = CommandLine.arguments.dropFirst()
    let scale = arguments.contains("--quick") ? 10 : 1
    if arguments.contains("two") {
      show(twoThreads(EngineBench(keyCount: 1_000), hot: 10_000_000 / scale))
    } else {
      let bench = EngineBench(
        keyCount: (arguments.contains("--small") ? 1_000 : 10_000_000 / scale))
      show(oneThread(bench, hot: 10_000_000 / scale, random: 5_000_000 / scale))
      bench.showMemory()
    }
  }

  static func twoThreads(_ bench: EngineBench, hot: Int) -> [Figure] {
    measurePair("two threads, one key (each thread)", count: hot) { _, count in
      bench.hotKey("open", count)
    }
      + measurePair("two threads, different keys (each thread)", count: hot) { number, count in
        bench.hotKey("open", count, salt: UInt64(number + 1))
      }
  }

  static func oneThread(_ bench: EngineBench, hot: Int, random: Int) -> [Figure] {
    let keys = bench.keyCount
    var figures: [Figure] = []
    figures += measure("hash of a 16-byte key alone", count: hot) { bench.hashOnly($0) }
    figures += measure("mark of a receipt alone", count: hot) { bench.markOnly($0) }
    figures += measure("hot key, allowed", target: "≤ 30", count: hot) { bench.hotKey("open", $0) }
    figures += measure("hot key, denied", count: hot) { bench.hotKey("shut", $0) }
    figures += measure("hot key, policy of three limits", count: hot / 2) {
      bench.hotKey("three", $0)
    }
    figures += measure("hot key, sliding window", count: hot / 2) { bench.hotKey("window", $0) }
    bench.fill()
    figures += measure("\(keys) keys at random, one at a time", target: "≤ 100", count: random) {
      bench.randomKeys($0)
    }
    figures += measure("\(keys) keys at random, batches of 64", target: "≤ 45", count: random) {
      bench.randomBatches($0)
    }
    figures += measure("the same memory, one dependent read", count: random) {
      bench.randomReads($0)
    }
    figures += measure("the same memory, two reads that wait for none", count: random) {
      bench.randomPairs($0)
    }
    return figures
  }
}

/// An engine with its key buckets in huge pages, and the policies that are measured.
final class EngineBench: @unchecked Sendable {
  let keyCount: Int
  private let engine: Engine
  private let policies: PolicySet
  private let tenant: Tenant
  private let tableBytes: Int
  private let memory: UnsafeRawPointer
  /// 0, which the compiler cannot know: keeps it from hashing a loop's one key but once.
  private let zero = UInt64(CommandLine.arguments.count) >> 32
  /// Advances as measured calls are made; the engine never reads a clock.
  private var now: UInt64 = 1 << 40

  init(keyCount: Int) {
    self.keyCount = keyCount
    // 80 % full once every key is live, with the few buckets that are used besides.
    var configuration = Engine.Configuration()
    configuration.keySlots = keyCount * 5 / 4 + 64
    configuration.keysPerTenantLimit = .max
    tableBytes = Engine.byteCount(configuration)
    // Huge pages come in 2 MiB, from addresses that are a multiple of that.
    let huge = 1 << 21
    let mapped = (tableBytes + 2 * huge - 1) / huge * huge
    let memory = mmap(nil, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory, memory != MAP_FAILED else { fatalError("mmap of \(mapped) bytes failed") }
    let start = (UInt(bitPattern: memory) + UInt(huge) - 1) / UInt(huge) * UInt(huge)
    let table = UnsafeMutableRawPointer(bitPattern: start)!
    self.memory = UnsafeRawPointer(table)
    madvise(table, mapped - huge, MADV_HUGEPAGE)
    memset(table, 0, tableBytes)
    // The mapping stays until the process ends.
    let region = EngineRegion(
      formatting: UnsafeMutableRawBufferPointer(start: table, count: tableBytes),
      for: configuration, hashKey: .random(), at: Instant(nanoseconds: now), release: { _ in })
    guard let engine = try? Engine(configuration, in: region, at: Instant(nanoseconds: now)) else {
      fatalError("a fresh region is always taken")
    }
    self.engine = engine

    var builder = PolicySetBuilder()
    func bucket(_ name: String, _ interval: Nanoseconds, _ burst: UInt64, _ scope: Scope)
      -> LimitIndex
    {
      builder.addLimit(
        LimitDefinition(
          name: name, scope: scope,
          settings: LimitSettings(
            parameters: .tokenBucket(
              TokenBucket.Parameters(emissionInterval: interval, burst: burst)!))))
    }
    let open = bucket("open", Nanoseconds(1), 1 << 40, .key)
    let shut = bucket("shut", .day, 1, .key)
    let wide = bucket("wide", Nanoseconds(1), 1 << 40, .tenant)
    let window = builder.addLimit(
      LimitDefinition(
        name: "window", scope: .tenant,
        settings: LimitSettings(
          parameters: .slidingWindow(
            SlidingWindow.Parameters(limit: SlidingWindow.Parameters.limitMax, window: .second)!))))
    builder.addPolicy(named: "open", limits: [open])
    builder.addPolicy(named: "shut", limits: [shut])
    builder.addPolicy(named: "three", limits: [wide, open, window])
    builder.addPolicy(named: "window", limits: [window])
    builder.anyTenant = PolicySetBuilder.Treatment()
    policies = builder.build(hashKey: .random())
    tenant = policies.tenant(named: "district-7")
  }

  /// Key `number`: 16 bytes, hashed here.
  @inline(__always) private func key(_ number: UInt64) -> Fingerprint {
    var key = (number, 0x7265_7375_2d61_2d6e as UInt64)
    return withUnsafeBytes(of: &key) { tenant.fingerprint(ofKey: $0) }
  }

  @inline(__always) private func query(_ number: UInt64, _ policy: PolicyIndex) -> Query {
    Query(tenant: tenant, policy: policy, key: key(number))
  }

  func hashOnly(_ count: Int) {
    var sum: UInt64 = 0
    for number in 0..<UInt64(count) {
      let fingerprint = key(number)
      sum &+= fingerprint.low ^ fingerprint.high
    }
    use(sum)
  }

  func markOnly(_ count: Int) {
    let query = query(0, policies.policy(named: "open")!)
    var sum: UInt64 = 0
    for number in 0..<UInt64(count) {
      var receipt = Receipt(tag: 0, decidedAt: Instant(nanoseconds: number), cost: 1, charged: 1)
      policies.mark(&receipt, ofKey: query.key, under: query.policy)
      sum &+= receipt.mac
    }
    use(sum)
  }

  func hotKey(_ policyName: String, _ count: Int, salt: UInt64 = 0) {
    let policy = policies.policy(named: policyName)!
    var now = now
    var allowed: UInt64 = 0
    for turn in 0..<UInt64(count) {
      now &+= 10
      let decision = engine.check(
        query(1 << 60 | salt | (turn & zero), policy), under: policies,
        at: Instant(nanoseconds: now))
      if decision.outcome == .allow { allowed &+= 1 }
    }
    use(allowed)
  }

  /// Makes every key live: one unit each of a bucket that takes 18 minutes to fill.
  func fill() {
    let policy = policies.policy(named: "open")!
    for number in 0..<UInt64(keyCount) {
      var query = query(number, policy)
      query.cost = 1 << 40
      _ = engine.check(query, under: policies, at: Instant(nanoseconds: now))
    }
  }

  private func next(_ state: inout UInt64) -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state.multipliedFullWidth(by: UInt64(keyCount)).high
  }

  func randomKeys(_ count: Int) {
    let policy = policies.policy(named: "open")!
    var state: UInt64 = 88_172_645_463_325_252
    var allowed: UInt64 = 0
    for _ in 0..<count {
      let query = query(next(&state), policy)
      let decision = engine.check(query, under: policies, at: Instant(nanoseconds: now + 1_000_000))
      if decision.outcome == .allow { allowed &+= 1 }
    }
    use(allowed)
  }

  func randomBatches(_ count: Int) {
    let policy = policies.policy(named: "open")!
    var state: UInt64 = 88_172_645_463_325_252
    var allowed: UInt64 = 0
    let queries = UnsafeMutableBufferPointer<Query>.allocate(capacity: 64)
    queries.initialize(repeating: query(0, policy))
    let decisions = UnsafeMutableBufferPointer<Decision>.allocate(capacity: 64)
    defer {
      queries.deallocate()
      decisions.deallocate()
    }
    let time = Instant(nanoseconds: now + 1_000_000)
    for _ in 0..<count / 64 {
      for place in 0..<64 {
        let query = queries.baseAddress! + place
        query.pointee.key = key(next(&state))
        engine.prefetch(query, under: policies)
      }
      for place in 0..<64 {
        engine.check(
          queries.baseAddress! + place, under: policies, at: time,
          into: decisions.baseAddress! + place)
      }
      for decision in decisions where decision.outcome == .allow { allowed &+= 1 }
    }
    use(allowed)
  }

  /// What the memory itself takes: each read's place depends on what the last one returned.
  func randomReads(_ count: Int) {
    var state: UInt64 = 88_172_645_463_325_252
    var seen: UInt64 = 0
    for _ in 0..<count {
      let bucket = (next(&state) ^ seen) % UInt64(tableBytes / 128)
      seen = memory.load(fromByteOffset: Int(bucket) * 128, as: UInt64.self)
    }
    use(seen)
  }

  /// What the memory takes at least for a key with two homes: all places are known beforehand.
  func randomPairs(_ count: Int) {
    var state: UInt64 = 88_172_645_463_325_252
    var sum: UInt64 = 0
    for _ in 0..<count {
      let place = next(&state)
      for home in 0..<2 as Range<UInt64> {
        let bucket = (place &+ home &* 0x9e37_79b9_7f4a_7c15) % UInt64(tableBytes / 128)
        sum &+= memory.load(fromByteOffset: Int(bucket) * 128, as: UInt64.self)
      }
    }
    use(sum)
  }

  func showMemory() {
    let occupancy = engine.occupancy(.key)
    let load = Double(occupancy.live) / Double(occupancy.slots)
    let tableBytes = occupancy.slots * 32 + Engine.countersBytes
    let each = Double(tableBytes) / Double(occupancy.live)
    print(
      """

      \(occupancy.live) live key buckets in \(occupancy.slots) slots: \
      \((load * 1000).rounded() / 10) % full, \((each * 100).rounded() / 100) bytes per bucket
      """)
  }
}

/// Where results go, so that they are not optimised away.
nonisolated(unsafe) private var sink: UInt64 = 0

@inline(never)
func use(_ value: UInt64) {
  sink ^= value
  // Never so, but the compiler cannot know.
  if CommandLine.arguments.count > 1_000 { print(sink) }
}
