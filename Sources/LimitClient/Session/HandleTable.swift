// Which (tenant, policy) has which handle on one connection. One owner at a time.

internal import LimitProtocol

/// The limits of a policy, by their places. Immutable.
final class PolicyNames: Sendable {
  /// Stands for `limits`.
  let tag: UInt32
  let limits: [LimitDescription]

  init(tag: UInt32, limits: [LimitDescription]) {
    self.tag = tag
    self.limits = limits
  }

  func limit(at place: UInt8) -> LimitDescription? {
    Int(place) < limits.count ? limits[Int(place)] : nil
  }

  /// The names of the limits at the places whose bits are set. Allocates only where there are any.
  func limits(in places: UInt16) -> [String] {
    guard places != 0 else { return [] }
    return limits.indices.filter { places >> UInt16($0) & 1 == 1 }.map { limits[$0].name }
  }
}

/// A pair of names, the handle that is kept for it, and what the daemon said of it.
final class Binding {
  enum State {
    /// The daemon was not asked, or refused: the handle means something else there, or nothing.
    case unbound
    /// A bind is on its way. The handle must not be used: it may be refused.
    case asked
    /// The daemon has it. It stays so until another bind for the same handle is queued.
    case confirmed
    /// The daemon does not bind it: ask by name.
    case refused
  }

  let tenant: String
  let policy: String
  fileprivate(set) var handle: UInt16
  var state = State.unbound
  /// From the last reply to bind.
  var names: PolicyNames?
  /// The table has given its handle to others.
  fileprivate(set) var isEvicted = false

  // The table's dictionary owns every binding that is linked.
  fileprivate unowned(unsafe) var newer: Binding?
  fileprivate unowned(unsafe) var older: Binding?

  fileprivate init(tenant: String, policy: String, handle: UInt16) {
    self.tenant = tenant
    self.policy = policy
    self.handle = handle
  }
}

/// Handles in the order of their last use; the one not used for longest makes room. O(1).
///
/// Whoever asks for a binding that is new must queue its bind before anything else: from then on
/// the daemon takes the handle for the new names, and what was queued before goes by the old ones.
struct HandleTable {
  private struct Names: Hashable {
    var tenant: String
    var policy: String
  }

  private var bindings: [Names: Binding] = [:]
  private unowned(unsafe) var oldest: Binding?
  private unowned(unsafe) var newest: Binding?
  private let countMax: Int

  /// - Parameter countMax: how many handles the daemon has for a connection; with 0 everything is
  ///   asked by name.
  init(countMax: Int) { self.countMax = countMax }

  /// The binding of these names, if there is one; it counts as used. Changes no other.
  mutating func known(tenant: String, policy: String) -> Binding? {
    // Most callers ask for what they asked for last.
    if let newest, newest.tenant == tenant, newest.policy == policy { return newest }
    guard let known = bindings[Names(tenant: tenant, policy: policy)] else { return nil }
    touch(known)
    return known
  }

  /// The binding of these names, made where there is none; nil where there are no handles at all.
  mutating func binding(tenant: String, policy: String) -> Binding? {
    if let known = known(tenant: tenant, policy: policy) { return known }
    guard countMax > 0 else { return nil }
    var handle = UInt16(truncatingIfNeeded: bindings.count)
    if bindings.count >= countMax, let oldest {
      handle = oldest.handle
      remove(oldest)
    }
    let binding = Binding(tenant: tenant, policy: policy, handle: handle)
    bindings[Names(tenant: tenant, policy: policy)] = binding
    append(binding)
    return binding
  }

  private mutating func touch(_ binding: Binding) {
    guard binding !== newest else { return }
    unlink(binding)
    append(binding)
  }

  private mutating func remove(_ binding: Binding) {
    unlink(binding)
    binding.isEvicted = true
    binding.state = .unbound
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
