// `make bench`: what keeping state costs: decisions on a live state against private memory, a snapshot
// of many live buckets and what it does to decisions meanwhile, and the start from either.
//
//     StateBenchmark [--keys COUNT] [--live DIR] [--directory DIR]
//
// 10 million keys; the live state lies in /dev/shm, snapshots in /var/tmp unless told otherwise. Both engines are filled alike; decisions are measured in turn, so
// that a change of the machine meets both.

import Glibc
import LimitEngine
import LimitStore
import LimitSystem

@main struct StateBenchmark {
  static func main() throws {
    let bench = try StateBench(
      keys: argument("--keys").flatMap { Int($0) } ?? 10_000_000,
      live: argument("--live") ?? "/dev/shm",
      directory: argument("--directory") ?? "/var/tmp")
    defer { bench.removeFiles() }
    try bench.run()
  }

  private static func argument(_ name: String) -> String? {
    let arguments = CommandLine.arguments
    guard let place = arguments.firstIndex(of: name), place + 1 < arguments.count else {
      return nil
    }
    return arguments[place + 1]
  }
}

/// An engine, and what to ask it. Any thread asks; one at a time fills.
private final class Subject: @unchecked Sendable {
  var engine: Engine { state.engine }
  var clockOffset: UInt64 { state.clockOffset }
  /// Holds the lock.
  private let state: OpenedState
  private let policies: PolicySet
  private let tenant: Tenant
  private let policy: PolicyIndex
  private let keys: UInt64

  init(_ state: consuming OpenedState, hashKey: HashKey, keys: Int) {
    self.state = state
    self.keys = UInt64(keys)
    var builder = PolicySetBuilder()
    // Takes nine minutes to fill, and has room for every decision of a run.
    let limit = builder.addLimit(
      LimitDefinition(
        name: "open", scope: .key,
        settings: LimitSettings(
          parameters: .tokenBucket(
            TokenBucket.Parameters(emissionInterval: Nanoseconds(1), burst: 1 << 40)!))))
    policy = builder.addPolicy(named: "open", limits: [limit])
    builder.anyTenant = PolicySetBuilder.Treatment()
    policies = builder.build(hashKey: hashKey)
    tenant = policies.tenant(named: "district-7")
  }

  var now: Instant { Instant(nanoseconds: Clock.bootNanoseconds() &+ clockOffset) }

  @inline(__always) func ask(_ number: UInt64, cost: UInt64, at now: Instant) -> Bool {
    var key = (number, 0x7265_7375_2d61_2d6e as UInt64)
    let fingerprint = withUnsafeBytes(of: &key) { tenant.fingerprint(ofKey: $0) }
    let query = Query(tenant: tenant, policy: policy, key: fingerprint, cost: cost)
    return engine.check(query, under: policies, at: now).outcome == .allow
  }

  func fill() {
    let now = now
    for number in 0..<keys { _ = ask(number, cost: 1 << 39, at: now) }
  }

  /// Nanoseconds per decision: on one key, or on keys at random.
  func time(_ count: Int, isHot: Bool) -> Double {
    var state: UInt64 = 88_172_645_463_325_252
    let now = now
    var allowed = 0
    let start = Clock.bootNanoseconds()
    for _ in 0..<count {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      let number = isHot ? 0 : state.multipliedFullWidth(by: keys).high
      if ask(number, cost: 1, at: now) { allowed += 1 }
    }
    let elapsed = Clock.bootNanoseconds() - start
    precondition(allowed == count, "every decision is admitted")
    return Double(elapsed) / Double(count)
  }

  /// The 99.9th percentile of single decisions on keys at random, in ns, until `isOver`.
  func tail(until isOver: () -> Bool) -> UInt64 {
    var counts = [Int](repeating: 0, count: 1 << 16)
    var state: UInt64 = 2_463_534_242
    var total = 0
    while !isOver() {
      for _ in 0..<1_000 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        let start = Clock.bootNanoseconds()
        _ = ask(state.multipliedFullWidth(by: keys).high, cost: 1, at: now)
        counts[Int(min(Clock.bootNanoseconds() - start, UInt64(counts.count - 1)))] += 1
      }
      total += 1_000
    }
    var left = total / 1_000
    var place = counts.count - 1
    while left > counts[place] {
      left -= counts[place]
      place -= 1
    }
    return UInt64(place)
  }
}

private final class StateBench {
  private let keys: Int
  private let hashKey = HashKey.random()
  private let livePath: String
  private let directory: SnapshotDirectory

  init(keys: Int, live: String, directory: String) throws {
    self.keys = keys
    livePath = "\(live)/limitd-bench-\(getpid()).live"
    self.directory = SnapshotDirectory("\(directory)/limitd-bench-\(getpid())")
    guard mkdir(self.directory.path, 0o700) == 0 else { throw SystemError(number: errno) }
  }

  func removeFiles() {
    for path in directory.generations + [livePath] { unlink(path) }
    rmdir(directory.path)
  }

  private func open(isLive: Bool, reads snapshots: SnapshotDirectory? = nil) throws -> Subject {
    var sizes = Engine.Configuration()
    sizes.keySlots = keys * 5 / 4 + 64
    sizes.keysPerTenantLimit = .max
    let opening = StateOpening(
      sizes: sizes, hashKey: hashKey, liveStatePath: isLive ? livePath : nil,
      snapshots: snapshots, clocks: .read())
    return Subject(try opening.open(), hashKey: hashKey, keys: keys)
  }

  func run() throws {
    print("state of \(keys) live buckets")
    let live = try open(isLive: true)
    live.fill()
    do {
      let own = try open(isLive: false)
      own.fill()
      compare(live, own)
    }
    try snapshot(live)
    try starts(live)
  }

  /// Rounds in turn; the medians.
  private func compare(_ live: Subject, _ own: Subject) {
    for (name, count, isHot) in [
      ("one key", 5_000_000, true), ("keys at random", 2_000_000, false),
    ] {
      var (lives, owns): ([Double], [Double]) = ([], [])
      for _ in 0..<7 {
        lives.append(live.time(count, isHot: isHot))
        owns.append(own.time(count, isHot: isHot))
      }
      let (mine, theirs) = (lives.sorted()[3], owns.sorted()[3])
      line(
        "decision, \(name)",
        "\(tenths(mine)) ns on the live state, \(tenths(theirs)) ns in private memory: "
          + "\(hundredths(mine / theirs))")
    }
  }

  private func snapshot(_ live: Subject) throws {
    let start = Clock.bootNanoseconds()
    let quiet = live.tail { Clock.bootNanoseconds() - start > 3_000_000_000 }
    let before = privateKibibytes()
    let writer = try Background { [directory, hashKey] in
      let start = Clock.bootNanoseconds()
      let written = try? directory.write(
        live.engine, hashKey: hashKey, clocks: .read(), clockOffset: live.clockOffset, limits: [],
        unless: { false })
      return (Clock.bootNanoseconds() - start, written?.buckets ?? 0, written?.bytes ?? 0)
    }
    var most = before
    let meanwhile = live.tail {
      most = max(most, privateKibibytes())
      return writer.isOver
    }
    let (time, buckets, bytes) = writer.result
    // One key in 200,000 finds no place and shares a bucket (docs/decisions/0003-sixteen-places.md).
    precondition(buckets >= keys - keys / 10_000, "every bucket is written")
    line(
      "snapshot",
      "\(milliseconds(time)), \(bytes >> 20) MiB, \((most - before + 1023) >> 10) MiB of memory")
    line(
      "decision, 99.9th percentile",
      "\(meanwhile) ns meanwhile, \(quiet) ns without: "
        + "\(hundredths(Double(meanwhile) / Double(quiet)))")
    // On a quiet machine: nobody decides.
    let alone = Clock.bootNanoseconds()
    _ = try directory.write(
      live.engine, hashKey: hashKey, clocks: .read(), clockOffset: live.clockOffset, limits: [],
      unless: { false })
    line("snapshot, nobody deciding", milliseconds(Clock.bootNanoseconds() - alone))
  }

  private func starts(_ live: consuming Subject) throws {
    do {
      let start = Clock.bootNanoseconds()
      let restored = try open(isLive: false, reads: directory)
      line("start from a snapshot", milliseconds(Clock.bootNanoseconds() - start))
      precondition(!restored.ask(0, cost: 1 << 40, at: restored.now), "the state is there")
    }
    // The lock goes with the engine and its mapping.
    _ = consume live
    let start = Clock.bootNanoseconds()
    let next = try open(isLive: true)
    line("start from a live state", milliseconds(Clock.bootNanoseconds() - start))
    precondition(!next.ask(0, cost: 1 << 40, at: next.now), "the state is there")
  }

  /// What the process has for itself, in KiB (RssAnon of proc(5)).
  private func privateKibibytes() -> Int {
    guard let text = SmallFile.text(of: "/proc/self/status"),
      let line = text.split(separator: "\n").first(where: { $0.hasPrefix("RssAnon:") }),
      let number = line.split(separator: " ").dropLast().last
    else { return 0 }
    return Int(number.filter(\.isNumber)) ?? 0
  }

  // MARK: Printing

  private func line(_ name: String, _ text: String) {
    print("  " + name + String(repeating: " ", count: max(1, 30 - name.count)) + text)
  }

  private func milliseconds(_ nanoseconds: UInt64) -> String { "\(nanoseconds / 1_000_000) ms" }
  private func tenths(_ number: Double) -> String { "\((number * 10).rounded() / 10)" }
  private func hundredths(_ number: Double) -> String { "\((number * 100).rounded() / 100)" }
}

/// Work on a thread of its own, and its result.
private final class Background<Result: Sendable>: @unchecked Sendable {
  private let lock = Locked<Result?>(nil)

  init(_ body: @escaping @Sendable () -> Result) throws {
    _ = try Thread(named: "bench-snapshot") { [lock] in
      let result = body()
      lock.withLock { $0 = result }
    }
  }

  var isOver: Bool { lock.withLock { $0 != nil } }
  /// - Precondition: it is over.
  var result: Result { lock.withLock { $0! } }
}
