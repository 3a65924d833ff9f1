// An installation for tests: a folder, a hash key, clocks that the test sets, and an engine that is
// opened as the daemon opens its own.

import Foundation
import Glibc
import LimitEngine
import LimitPolicy
import LimitStore
import LimitSystem
import TestSupport

/// One thread uses it. The folder goes with it.
final class Installation {
  var folder: String { temporary.path }
  private let temporary: TemporaryFolder
  var hashKey = HashKey(low: 3, high: 4)
  /// A host that has been up for a day.
  var clocks = HostClocks(
    boot: 86_400 * second, wall: 1_700_000_000 * second, bootID: BootID(low: 1, high: 2))
  var sizes = Engine.Configuration()
  /// Whether there is a live state.
  var isLive = true

  var livePath: String { "\(folder)/limitd.live" }
  var snapshots: SnapshotDirectory { SnapshotDirectory(folder) }

  static let second: UInt64 = 1_000_000_000

  init() throws {
    // On a tmpfs where there is one, as it should be.
    let place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    temporary = try TemporaryFolder(in: place)
    sizes.keySlots = 1 << 11
    sizes.keysPerTenantLimit = 1 << 11
    sizes.tenantSlots = 1 << 10
    sizes.tenantsMax = 64
  }

  private var second: UInt64 { Self.second }

  /// - Parameter patience: as the daemon's: a process that another test begins has the lock as well,
  ///   from its fork to its exec.
  func open(
    patience: UInt64 = LiveFile.patienceNanoseconds, bucketsPerTelling: Int = 1_000_000,
    progress: @escaping (OpeningProgress) -> Void = { _ in },
    prepare: @escaping (Engine) -> Void = { _ in }
  ) throws -> Opened {
    var opening = StateOpening(
      sizes: sizes, hashKey: hashKey, liveStatePath: isLive ? livePath : nil,
      snapshots: snapshots, clocks: clocks)
    opening.patience = patience
    opening.bucketsPerTelling = bucketsPerTelling
    opening.prepare = prepare
    opening.progress = progress
    return Opened(try opening.open(), policies(), clocks)
  }

  /// Limits that give one unit back a minute, and count an hour.
  func policies() -> PolicySet {
    let text = """
      limits:
        bucket: {algorithm: token-bucket, rate: 1/1m, burst: 10, scope: key}
        window: {algorithm: sliding-window, limit: 10, window: 1h, scope: key}
        both: {algorithm: token-bucket, rate: 1000/1m, burst: 10000, scope: tenant}
        held: {algorithm: concurrency, limit: 3, scope: key}
      policies: {bucket: [bucket], window: [window], all: [bucket, window, both], held: [held]}
      tenants: {"*": {}}
      """
    // The file is right.
    return try! PolicyFile.parse(text, path: "p.yaml").compile(hashKey: hashKey)
  }

  /// Time passes on both clocks.
  func pass(_ seconds: UInt64) {
    clocks.boot += seconds * second
    clocks.wall += seconds * second
  }

  /// The host starts anew, and the wall clock goes on.
  func reboot(downSeconds: UInt64) {
    clocks.boot = 30 * second
    clocks.wall += (downSeconds + 30) * second
    clocks.bootID.low += 1
    unlink(livePath)
  }
}

let second: UInt64 = Installation.second

/// An engine that was opened, and what to ask it.
final class Opened {
  let state: OpenedState
  private let policies: PolicySet
  var clocks: HostClocks

  init(_ state: consuming OpenedState, _ policies: PolicySet, _ clocks: HostClocks) {
    self.state = state
    self.policies = policies
    self.clocks = clocks
  }

  private var now: Instant {
    Instant(nanoseconds: clocks.boot &+ state.clockOffset)
  }

  /// The decision now.
  func ask(
    _ key: String, _ policy: String = "all", cost: UInt64 = 1, tenant: String = "acme"
  ) -> Decision {
    state.engine.check(query(key, policy, cost, tenant), under: policies, at: now)
  }

  private func query(_ key: String, _ policy: String, _ cost: UInt64, _ tenant: String) -> Query {
    let tenant = policies.tenant(named: tenant)
    let fingerprint = Array(key.utf8).withUnsafeBytes { tenant.fingerprint(ofKey: $0) }
    return Query(
      tenant: tenant, policy: policies.policy(named: policy)!, key: fingerprint, cost: cost)
  }

  /// Takes a permit of three, and never gives it back.
  func hold(_ key: String) -> Decision {
    state.engine.acquire(query(key, "held", 1, "acme"), under: policies, at: now).decision
  }

  /// What is left of a key's bucket.
  func left(_ key: String, _ policy: String = "bucket") -> UInt64 {
    ask(key, policy, cost: 0).remaining
  }

  /// Uses up to nine units of each of so many keys.
  func use(keys count: Int) {
    for key in 0..<count { _ = ask("k\(key)", cost: UInt64(key % 9 + 1)) }
  }

  /// Keys of `use` that are not as they were left.
  func differing(keys count: Int, _ policy: String = "bucket") -> [Int] {
    (0..<count).filter { left("k\($0)", policy) != 10 - UInt64($0 % 9 + 1) }
  }

  /// All buckets that matter.
  func records() -> Set<BucketRecord> {
    var records: Set<BucketRecord> = []
    for scope in Scope.allCases {
      state.engine.forEachBucket(scope, inGroups: 0..<state.engine.groupCount(scope), at: now) {
        var record = $0
        record.isGuest = false
        records.insert(record)
      }
    }
    return records
  }

  /// Writes a snapshot.
  @discardableResult func snapshot(_ installation: Installation) throws -> Int {
    try installation.snapshots.write(
      state.engine, hashKey: installation.hashKey, clocks: clocks, clockOffset: state.clockOffset,
      limits: [(7, "bucket"), (8, "window of nine")], unless: { false })!.buckets
  }

  var source: OpeningReport.Source { state.report.source }
  var isLive: Bool { if case .live = source { true } else { false } }
  var isResized: Bool { if case .resized = source { true } else { false } }
  var isFromSnapshot: Bool { if case .snapshot = source { true } else { false } }
  var isNothing: Bool { if case .nothing = source { true } else { false } }
  var refusals: [String] {
    state.report.findings.compactMap {
      switch $0 {
      case .liveStateRefused(_, let why, _): why
      case .snapshotRefused(_, let why): why
      case .liveStateOnDisk: nil
      }
    }
  }
}

/// The bytes of a file.
func bytes(of path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }

func write(_ bytes: some Sequence<UInt8>, to path: String) throws {
  try Data(bytes).write(to: URL(filePath: path))
}
