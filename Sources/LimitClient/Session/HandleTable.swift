// Which (tenant, policy) has which handle on one connection. One owner at a time.

internal import LimitProtocol

/// What a handle stands for, and what the daemon said of it.
final class Binding {
  let tenant: String
  let policy: String
  fileprivate(set) var handle: UInt16
  /// From the last reply to bind, or nil before the first.
  var limits: [LimitDescription]?
  /// Of `limits`.
  var tag: UInt32 = 0
  /// The daemon does not bind it (the tenant is unknown): ask by name.
  var isByName = false

  fileprivate var newer: Binding?
  fileprivate unowned(unsafe) var older: Binding?

  fileprivate init(tenant: String, policy: String, handle: UInt16) {
    self.tenant = tenant
    self.policy = policy
    self.handle = handle
  }
}

/// Handles in the order of their last use; the one not used for longest makes room. O(1).
struct HandleTable {
  private struct Names: Hashable {
    var tenant: String
    var policy: String
  }

  private var bindings: [Names: Binding] = [:]
  private var oldest: Binding?
  private unowned(unsafe) var newest: Binding?
  private let countMax: Int

  init(countMax: Int) { self.countMax = max(1, countMax) }

  /// The binding of these names, and whether the daemon is still to be told of it.
  mutating func binding(tenant: String, policy: String) -> (Binding, isNew: Bool) {
    let names = Names(tenant: tenant, policy: policy)
    if let known = bindings[names] {
      touch(known)
      return (known, false)
    }
    var handle = UInt16(truncatingIfNeeded: bindings.count)
    if bindings.count >= countMax, let oldest {
      handle = oldest.handle
      remove(oldest)
    }
    let binding = Binding(tenant: tenant, policy: policy, handle: handle)
    bindings[names] = binding
    append(binding)
    return (binding, true)
  }

  private mutating func touch(_ binding: Binding) {
    guard binding !== newest else { return }
    unlink(binding)
    append(binding)
  }

  private mutating func remove(_ binding: Binding) {
    unlink(binding)
    bindings[Names(tenant: binding.tenant, policy: binding.policy)] = nil
  }

  private mutating func append(_ binding: Binding) {
    binding.older = newest
    binding.newer = nil
    if let newest { newest.newer = binding } else { oldest = binding }
    newest = binding
  }

  private mutating func unlink(_ binding: Binding) {
    let newer = binding.newer
    if let older = binding.older { older.newer = newer } else { oldest = newer }
    if let newer { newer.older = binding.older } else { newest = binding.older }
    binding.newer = nil
    binding.older = nil
  }
}
