// Which counters there are: a block of them for each pair of a tenant and a policy that has a claim to one,
// and one per policy for everybody else. Numbers are given once and never taken back, so that no counter ever
// goes back. Any thread; a loop waits for the lock only where it meets a named tenant for the first time, and
// where tenants were given blocks since it last looked.

import LimitEngine
import LimitSystem
import Synchronization

/// Hands out blocks of counters. Bounded: when the blocks for one claim are used up, whoever comes later by it
/// is counted with the others.
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

  /// Why a tenant has a block of its own.
  package enum Claim: String, CaseIterable, Sendable {
    /// The rules name it, and it was asked about under the policy.
    case name
    /// It is used so much under the policy (`BusyPairs`).
    case use

    /// How many blocks are given for it.
    package var blocksMax: Int {
      switch self {
      case .name: 4096
      case .use: 1024
      }
    }
  }

  /// A tenant's block, and what it is found by.
  struct Owned: Sendable {
    var key: Fingerprint
    var number: UInt16
    var claim: Claim
  }

  /// Blocks of tenants.
  package static let ownedMax = Claim.allCases.reduce(0) { $0 + $1.blocksMax }
  /// Blocks of everybody else, one per policy.
  package static let othersMax = 1023
  /// The block of what finds no other.
  package static let last: UInt16 = 0
  /// All of them.
  package static let blocksMax = 1 + othersMax + ownedMax

  private struct State {
    var numbers: [Fingerprint: UInt16] = [:]
    /// By number, as `keys`.
    var blocks = [Block(tenant: nil, policy: nil, limits: [])]
    var keys = [Fingerprint(low: 0, high: 0)]
    /// In the order in which they were given.
    var owned: [Owned] = []
    var countsByClaim: [Claim: Int] = [:]
    var othersCount = 0

    mutating func append(_ block: Block, _ key: Fingerprint) -> UInt16 {
      let number = UInt16(blocks.count)
      blocks.append(block)
      keys.append(key)
      numbers[key] = number
      return number
    }
  }

  private let state = Locked(State())
  /// `owned.count`: 0 … `ownedMax`, and only grows. Written by whoever has the lock, read by the loops, which
  /// take the lock where it is not what they know. It publishes nothing: relaxed.
  private let ownedCountWord = Atomic<Int>(0)
  /// Whether no tenant gets a block for its name any more: false, then true for ever. Written by whoever has
  /// the lock; publishes `ownedCountWord`, so that whoever sees it finds all that have one.
  private let isFullWord = Atomic<Bool>(false)

  package init() {}

  /// Whether no tenant gets a block for its name any more. Acquiring: pairs with the releasing store in `own`.
  var isFull: Bool { isFullWord.load(ordering: .acquiring) }

  /// How many blocks tenants have. Relaxed: see the word.
  var ownedCount: Int { ownedCountWord.load(ordering: .relaxed) }

  /// The number of a block, given now where it had none; `nil` where there is none left.
  ///
  /// - Parameters:
  ///   - key: stands for the block's tenant and policy.
  ///   - block: what it counts; asked for where it is new. A tenant's has a claim by name.
  func number(for key: Fingerprint, _ block: () -> Block) -> UInt16? {
    state.withLock { state in
      if let known = state.numbers[key] { return known }
      let new = block()
      guard new.tenant == nil else { return own(new, key, .name, &state) }
      guard state.othersCount < Self.othersMax else { return nil }
      state.othersCount += 1
      return state.append(new, key)
    }
  }

  /// Gives a tenant a block for its use, where it has none and there is one left. The loops learn of it
  /// (`CounterIndex.learn`), and count in it from then on.
  ///
  /// - Parameters:
  ///   - name: the tenant's.
  ///   - others: the block of a policy's other tenants, where this one was counted up to now.
  func promote(_ tenant: Fingerprint, named name: String, under others: UInt16) {
    state.withLock { state in
      var block = state.blocks[Int(others)]
      let key = Self.key(of: tenant, under: state.keys[Int(others)])
      guard block.tenant == nil, block.policy != nil, state.numbers[key] == nil else { return }
      block.tenant = name
      _ = own(block, key, .use, &state)
    }
  }

  private func own(
    _ block: Block, _ key: Fingerprint, _ claim: Claim, _ state: inout State
  ) -> UInt16? {
    let count = state.countsByClaim[claim, default: 0]
    guard count < claim.blocksMax else { return nil }
    state.countsByClaim[claim] = count + 1
    let number = state.append(block, key)
    state.owned.append(Owned(key: key, number: number, claim: claim))
    ownedCountWord.store(state.owned.count, ordering: .relaxed)
    if claim == .name, count + 1 == claim.blocksMax {
      // Releasing: pairs with the acquiring load in `isFull`, after which the count is this one or later.
      isFullWord.store(true, ordering: .releasing)
    }
    return number
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

  /// What stands for a tenant, named or not, under a policy.
  static func key(of tenant: Fingerprint, under policy: Fingerprint) -> Fingerprint {
    Fingerprint(low: tenant.low &+ policy.low, high: tenant.high ^ policy.high)
  }

  /// Tenants' blocks in the order in which they were given, without the first `count`.
  func owned(from count: Int) -> [Owned] { state.withLock { Array($0.owned[count...]) } }

  /// How many blocks were given for a claim.
  package func count(_ claim: Claim) -> Int { state.withLock { $0.countsByClaim[claim] ?? 0 } }

  /// Whether a block is that of a policy's other tenants.
  func isOfOthers(_ number: UInt16) -> Bool {
    state.withLock { $0.blocks[Int(number)].tenant == nil && $0.blocks[Int(number)].policy != nil }
  }

  /// The block of a number that was given.
  func block(_ number: UInt16) -> Block { state.withLock { $0.blocks[Int(number)] } }

  /// All blocks so far, by number.
  package var blocks: [Block] { state.withLock { $0.blocks } }
}
