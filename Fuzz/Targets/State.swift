// What libFuzzer calls for what outlives the daemon: the input is a snapshot, or damage to a live
// state.
//
// The first byte says which. Checksums find damage by chance, so most inputs are given the right
// ones: what is behind them is to stand whatever the words say.

import Glibc
import LimitEngine
import LimitPolicy
import LimitRuntime
import LimitStore
import LimitSystem
import TestSupport

/// Opens the state as a daemon that starts does, and decides with what came of it.
@_cdecl("limitd_fuzz_state")
public func fuzzState(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let way = bytes.first else { return 0 }
  let input = Array(bytes.dropFirst())
  let fixture = StateFixture.shared
  switch way % 4 {
  case 0: fixture.write(input, to: "snapshot.1")
  case 1, 2: fixture.write(fixture.repaired(input), to: "snapshot.1")
  default: fixture.write(fixture.damaged(input), to: "limitd.live")
  }
  fixture.openAndDecide(isLive: way % 4 == 3)
  return 0
}

/// A folder for the files, and a live state to damage. One thread.
private final class StateFixture {
  nonisolated(unsafe) static let shared = StateFixture()

  private let temporary: TemporaryFolder
  private var folder: String { temporary.path }
  private let hashKey = HashKey(low: 3, high: 4)
  private let file: PolicyFile
  private var sizes = Engine.Configuration()
  private var clocks = HostClocks(
    boot: 86_400_000_000_000, wall: 1_700_000_000_000_000_000, bootID: BootID(low: 1, high: 2))
  private var live: [UInt8] = []

  init() {
    // There is room for a folder.
    temporary = try! TemporaryFolder(in: "/dev/shm")
    sizes.keySlots = 1 << 10
    sizes.tenantSlots = 1 << 10
    sizes.tenantsMax = 64
    let text = """
      limits:
        bucket: {algorithm: token-bucket, rate: 1/1m, burst: 10, scope: key}
        window: {algorithm: sliding-window, limit: 10, window: 1h, scope: key}
        both: {algorithm: token-bucket, rate: 1000/1m, burst: 10000, scope: tenant}
        held: {algorithm: concurrency, limit: 5, scope: global}
      policies: {all: [bucket, window, both, held]}
      tenants: {"*": {}, acme: {}}
      """
    // The file is right.
    file = try! PolicyFile.parse(text, path: "p.yaml")
    openAndDecide(isLive: true)
    live = Self.read("\(folder)/limitd.live")
  }

  func write(_ bytes: [UInt8], to name: String) {
    let file = open("\(folder)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    precondition(file >= 0 && Glibc.write(file, bytes, bytes.count) == bytes.count, "it is written")
    close(file)
  }

  private static func read(_ path: String) -> [UInt8] {
    let file = open(path, O_RDONLY)
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 24)
    let count = Glibc.read(file, &bytes, bytes.count)
    return Array(bytes[..<max(0, count)])
  }

  /// The input as the words of a snapshot of this installation, with right checksums.
  func repaired(_ input: [UInt8]) -> [UInt8] {
    var words = input.words
    let header = SnapshotFormat.headerWords
    while words.count < header { words.append(0) }
    words[1] = SnapshotFormat.magic
    words[2] = SnapshotFormat.version
    words[4] = hashKey.check
    words[0] = Self.checksum(words[1..<header])
    var place = header
    var number: UInt64 = 0
    while place + SnapshotFormat.blockHeaderWords <= words.count {
      let rest = words.count - place - SnapshotFormat.blockHeaderWords
      let payload = min(rest, Int(words[place + 1] >> 32))
      words[place + 1] = words[place + 1] & 0x3 | UInt64(payload) << 32
      words[place + 2] = words[3]
      words[place + 3] = number
      let end = place + SnapshotFormat.blockHeaderWords + payload
      words[place] = Self.checksum(words[(place + 1)..<end])
      number += 1
      place = end
    }
    return words.withUnsafeBytes { Array($0) }
  }

  private static func checksum(_ words: ArraySlice<UInt64>) -> UInt64 {
    words.withUnsafeBytes { Checksum.of($0) }
  }

  /// The live state with words of the input in places of its own: pairs of place and value.
  func damaged(_ input: [UInt8]) -> [UInt8] {
    var bytes = live
    let words = input.words
    for start in stride(from: 0, to: words.count - 1, by: 2) {
      let place = Int(words[start] % UInt64(bytes.count / 8)) * 8
      withUnsafeBytes(of: words[start + 1]) { value in
        for (offset, byte) in value.enumerated() { bytes[place + offset] = byte }
      }
    }
    return bytes
  }

  func openAndDecide(isLive: Bool) {
    var opening = StateOpening(
      sizes: sizes, hashKey: hashKey, liveStatePath: isLive ? "\(folder)/limitd.live" : nil,
      snapshots: SnapshotDirectory(folder), clocks: clocks)
    opening.patience = 0
    // Whatever the files hold, the daemon starts.
    let state = try! opening.open()
    let engine = state.engine
    let now = Instant(nanoseconds: clocks.boot &+ state.clockOffset)
    precondition(engine.invariantViolation(at: now) == nil, "the state is sound at the start")
    // Whatever rules it says that it was written by.
    let policies = try! engine.goOn(
      under: file, hashKey: hashKey, at: now, kept: { _ in nil }, keep: {}
    ).0.policies
    for name in ["acme", "guest"] {
      for number in 0..<20 {
        let tenant = policies.tenant(named: name)
        let key = Array("k\(number)".utf8).withUnsafeBytes { tenant.fingerprint(ofKey: $0) }
        let query = Query(
          tenant: tenant, policy: policies.policy(named: "all")!, key: key,
          cost: UInt64(number % 12))
        let decision = engine.check(query, under: policies, at: now)
        precondition(decision.remaining <= decision.capacity, "never above full")
      }
    }
    precondition(engine.invariantViolation(at: now) == nil, "the state stays sound")
  }
}

extension [UInt8] {
  fileprivate var words: [UInt64] {
    stride(from: 0, to: count - count % 8, by: 8).map { start in
      self[start..<(start + 8)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
  }
}
