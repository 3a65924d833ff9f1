// What a bench sends: groups of checks, made beforehand.

import LimitProtocol

/// Groups of frames, visited in turn. Enough of them that caches do not know the keys by heart.
struct BenchGroups {
  /// About how much memory to fill with groups, in bytes.
  private static let poolBytes = 8 << 20
  private static let keyBytes = 16

  private var memory: [UInt8] = []
  private var ends: [Int] = [0]
  private var last = -1

  init(_ plan: BenchPlan) {
    let itemBytes =
      Self.keyBytes
      + (plan.isBatch ? BatchItem.overheadByteCount : QueryRequest.overheadByteCount)
    let groupBytes = BatchRequest.overheadByteCount + plan.pipeline * itemBytes
    let count = max(1, min(Self.poolBytes / groupBytes, 1 << 16))
    var choices = KeyChoices(plan)
    memory = [UInt8](unsafeUninitializedCapacity: count * groupBytes) { room, initialized in
      var writer = WireWriter(UnsafeMutableRawBufferPointer(room))
      for _ in 0..<count {
        Self.write(plan, &choices, into: &writer)
        ends.append(writer.count)
      }
      initialized = writer.count
    }
  }

  private static func write(
    _ plan: BenchPlan, _ choices: inout KeyChoices, into writer: inout WireWriter
  ) {
    if plan.isBatch {
      BatchRequest.encodeStart(
        count: plan.pipeline, keyBytes: plan.pipeline * keyBytes, id: 1, into: &writer)
    }
    for _ in 0..<plan.pipeline {
      choices.withNext { handle, key in
        if plan.isBatch {
          BatchItem(handle: handle, cost: 1, key: key).encode(into: &writer)
        } else {
          QueryRequest(subject: .handle(handle), cost: 1, key: key)
            .encode(.check, id: 1, into: &writer)
        }
      }
    }
  }

  /// The next group's number.
  mutating func next() -> Int {
    last = last + 1 == ends.count - 1 ? 0 : last + 1
    return last
  }

  func withBytes<Result>(of group: Int, _ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    memory.withUnsafeBytes {
      body(UnsafeRawBufferPointer(rebasing: $0[ends[group]..<ends[group + 1]]))
    }
  }
}

/// Tenants and keys at random, the same in every run.
private struct KeyChoices {
  private let plan: BenchPlan
  /// A linear congruential generator (Knuth's constants); its upper half is used.
  private var state: UInt64 = 42

  init(_ plan: BenchPlan) { self.plan = plan }

  private mutating func random(below bound: UInt64) -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return (state >> 32).multipliedFullWidth(by: bound << 32).high
  }

  /// A tenant's handle and one of its keys, 16 hexadecimal digits.
  mutating func withNext(_ body: (UInt16, UnsafeRawBufferPointer) -> Void) {
    let handle = UInt16(random(below: UInt64(plan.tenants)))
    let number = random(below: min(plan.keys, 1 << 31))
    withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { key in
      for place in 0..<16 {
        let digit = UInt8(truncatingIfNeeded: number >> UInt64(60 - 4 * place) & 15)
        key[place] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
      }
      body(handle, UnsafeRawBufferPointer(key))
    }
  }
}
