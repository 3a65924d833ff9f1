// Engines in memory that outlives them, for tests: a mapping such as a later process would find.

import CStores
import Glibc

@testable import LimitEngine

/// Zeroed memory that is mapped MAP_SHARED, unmapped with its owner.
final class SharedMemory: @unchecked Sendable {
  let bytes: UnsafeMutableRawBufferPointer

  init(_ byteCount: Int) {
    let memory = mmap(
      nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)
    precondition(memory != MAP_FAILED, "no memory")
    bytes = UnsafeMutableRawBufferPointer(start: memory, count: byteCount)
  }

  /// A copy of what is there now.
  convenience init(copying other: UnsafeRawBufferPointer) {
    self.init(other.count)
    bytes.copyMemory(from: other)
  }

  convenience init(copying other: SharedMemory) {
    self.init(copying: UnsafeRawBufferPointer(other.bytes))
  }

  deinit { munmap(bytes.baseAddress, bytes.count) }
}

let testHashKey = HashKey(low: 1, high: 2)

/// An engine in a region, with policies, that can be left and taken up again.
struct Survivor {
  private(set) var memory: SharedMemory
  let configuration: Engine.Configuration
  private(set) var fixture: Fixture

  init(
    _ limits: [(Scope, LimitSettings)], _ configuration: Engine.Configuration = .tiny,
    at now: UInt64
  ) {
    self.configuration = configuration
    memory = SharedMemory(Engine.byteCount(configuration))
    let region = EngineRegion(
      formatting: memory.bytes, for: configuration, hashKey: testHashKey,
      at: Instant(nanoseconds: now), release: { _ in })
    let engine = try! Engine(configuration, in: region, at: Instant(nanoseconds: now))
    fixture = Fixture(limits, engine: engine)
  }

  /// What a later process finds in this memory: taken up from a copy, so that a test can go back.
  func recovered(at now: UInt64) throws -> Survivor {
    try over(SharedMemory(copying: memory)).adopted(at: now)
  }

  /// What a later process finds in this memory: taken up where it lies.
  func adopted(at now: UInt64) throws -> Survivor {
    var next = self
    let region = try EngineRegion(adopting: memory.bytes, hashKey: testHashKey) { [memory] _ in
      _ = memory
    }
    let engine = try Engine(configuration, in: region, at: Instant(nanoseconds: now))
    next.fixture = fixture.over(engine)
    return next
  }

  /// The same, of other memory, which nobody has taken up yet.
  private func over(_ memory: SharedMemory) -> Survivor {
    var other = self
    other.memory = memory
    return other
  }

  /// What a process leaves that is killed while it runs `body`: one for each instruction that changes
  /// the region, in their order. `body` works on this region, alone.
  ///
  /// Empty where the processor cannot be stepped (`Survivor.canStep`).
  func statesLeft(by body: () -> Void) -> [Survivor] {
    let capacity = 2_000
    let bytes = memory.bytes.count
    let copies = SharedMemory(capacity * bytes)
    let count = withoutActuallyEscaping(body) { body in
      withUnsafePointer(to: body) { body in
        limitd_states_during(
          { $0!.assumingMemoryBound(to: (() -> Void).self).pointee() },
          UnsafeMutableRawPointer(mutating: body), memory.bytes.baseAddress, bytes,
          copies.bytes.baseAddress, Int64(capacity))
      }
    }
    precondition(count <= capacity, "\(count) states, room for \(capacity)")
    return (0..<max(0, Int(count))).map { number in
      let state = UnsafeRawBufferPointer(
        rebasing: copies.bytes[number * bytes..<(number + 1) * bytes])
      return over(SharedMemory(copying: state))
    }
  }

  #if arch(x86_64)
  static let canStep = true
  #else
  static let canStep = false
  #endif

  var recovery: Recovery { fixture.engine.recovery ?? Recovery() }

  func check(_ query: Query, at now: UInt64) -> Decision { fixture.check(query, at: now) }

  /// The live slot of limit `number`'s bucket.
  func slot(_ query: Query, limit number: Int = 0) -> Slot? {
    let rule = fixture.policies.rule(for: LimitIndex(UInt16(number)), of: query.tenant)
    let id = Engine.identity(rule, query, level: 0)
    return fixture.engine.table(rule.pointee.scope.rawValue).pointee.find(id)?.slot
  }
}

extension Engine.Configuration {
  /// 64 key slots, 64 tenant slots, 64 tenants.
  static var tiny: Engine.Configuration {
    var configuration = Engine.Configuration()
    configuration.keySlots = 64
    configuration.tenantSlots = 64
    configuration.tenantsMax = 64
    configuration.keysPerTenantLimit = .max
    return configuration
  }
}
