// Which counters there are: a block of them for each named tenant under each policy that it was asked
// about, and one per policy for everybody else. Numbers are given once and never taken back, so that
// no counter ever goes back. Any thread; only who meets a tenant for the first time waits for the lock.

import LimitEngine
import LimitSystem
import Synchronization

/// Hands out blocks of counters. Bounded: when the named tenants' blocks are used up, further tenants
/// are counted with the others.
package final class CounterRegistry: Sendable {
  /// Whom a block counts.
  package struct Block: Hashable, Sendable {
    /// `nil`: all tenants that have no block of their own.
    package var tenant: String?
    /// `nil`: policies for which there was no block left.
    package var policy: String?
    /// The limits of the policy, in its order.
    package var limits: [String]
  }

  /// Blocks of tenants with names.
  package static let namedMax = 4096
  /// Blocks of everybody else, one per policy.
  package static let othersMax = 1023
  /// The block of what finds no other.
  package static let last: UInt16 = 0
  /// All of them.
  package static let blocksMax = 1 + othersMax + namedMax

  private struct State {
    var numbers: [Fingerprint: UInt16] = [:]
    var blocks = [Block(tenant: nil, policy: nil, limits: [])]
    var namedCount = 0
    var othersCount = 0
  }

  private let state = Locked(State())
  /// Whether no tenant gets a block any more. Relaxed: it is its own whole message.
  private let isFullWord = Atomic<Bool>(false)

  package init() {}

  package var isFull: Bool { isFullWord.load(ordering: .relaxed) }

  /// The number of a block, given now where it had none; `nil` where there is none left.
  ///
  /// - Parameters:
  ///   - key: stands for the block's tenant and policy.
  ///   - block: what it counts; asked for where it is new.
  func number(for key: Fingerprint, _ block: () -> Block) -> UInt16? {
    state.withLock { state in
      if let known = state.numbers[key] { return known }
      let new = block()
      if new.tenant == nil {
        guard state.othersCount < Self.othersMax else { return nil }
        state.othersCount += 1
      } else {
        guard state.namedCount < Self.namedMax else { return nil }
        state.namedCount += 1
        if state.namedCount == Self.namedMax { isFullWord.store(true, ordering: .relaxed) }
      }
      let number = UInt16(state.blocks.count)
      state.blocks.append(new)
      state.numbers[key] = number
      return number
    }
  }

  /// What stands for a policy with its list of limits in keys of this process.
  static func key(ofPolicy name: String, tag: UInt32) -> Fingerprint {
    func half(_ number: UInt8) -> UInt64 {
      var hasher = Hasher()
      hasher.combine(number)
      hasher.combine(name)
      hasher.combine(tag)
      return UInt64(UInt(bitPattern: hasher.finalize()))
    }
    return Fingerprint(low: half(0), high: half(1))
  }

  /// The keys of named tenants' blocks. O(blocks).
  var numbersOfNamed: [(Fingerprint, UInt16)] {
    state.withLock { state in
      state.numbers.filter { state.blocks[Int($0.value)].tenant != nil }.map { ($0.key, $0.value) }
    }
  }

  /// The block of a number that was given.
  func block(_ number: UInt16) -> Block { state.withLock { $0.blocks[Int(number)] } }

  /// All blocks so far, by number.
  package var blocks: [Block] { state.withLock { $0.blocks } }
}
