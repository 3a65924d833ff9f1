// The handles of one connection. One thread uses a table.

import Glibc
import LimitProtocol
import LimitRuntime

/// What a handle stands for: names, and what they mean in one generation of the turn's.
struct Binding: BitwiseCopyable {
  /// Its name is the first of the two that are kept here; behind it is the policy's. `nil` where the
  /// handle is not bound.
  var target: Target
  /// The generation that the fields besides the names were looked up in; 0 where the handle is not
  /// bound, or its policy was not in force then.
  var generation: UInt32
  var roles: Roles
  fileprivate var policyLength: UInt8

  var tenantName: UnsafeRawBufferPointer {
    .init(start: target.name, count: Int(target.nameLength))
  }

  fileprivate var namesByteCount: Int {
    target.name == nil ? 0 : Self.allocated(Int(target.nameLength) + Int(policyLength))
  }

  /// Bytes that an allocation takes of the heap, with what malloc(3) adds.
  fileprivate static func allocated(_ byteCount: Int) -> Int { (byteCount + 8 + 15) & ~15 }
}

/// Handles from 0, as many as the client has used. Grows to the next power of two.
struct BindingTable: ~Copyable {
  private var bindings: UnsafeMutablePointer<Binding>?
  private(set) var count = 0
  private let countMax: Int
  /// Bytes allocated, all of which were reserved.
  private(set) var byteCount = 0

  init(countMax: Int) { self.countMax = countMax }

  deinit {
    for handle in 0..<count { bindings![handle].target.name?.deallocate() }
    bindings?.deallocate()
  }

  /// The binding, whether up to date or not. `nil`: never bound.
  @inline(__always) subscript(handle: UInt16) -> UnsafeMutablePointer<Binding>? {
    Int(handle) < count ? bindings.unsafelyUnwrapped + Int(handle) : nil
  }

  /// The names that a handle was bound to.
  func names(_ binding: UnsafeMutablePointer<Binding>) -> (
    tenant: UnsafeRawBufferPointer, policy: UnsafeRawBufferPointer
  )? {
    let tenant = binding.pointee.tenantName
    guard let names = tenant.baseAddress else { return nil }
    return (
      tenant,
      UnsafeRawBufferPointer(
        start: names + tenant.count, count: Int(binding.pointee.policyLength))
    )
  }

  /// Binds a handle to names; its meaning is filled in by the caller.
  ///
  /// - Parameter account: pays for the memory.
  /// - Throws: *limit reached*, where the handle is beyond the connection's or the user has no
  ///   memory left; the handle is as it was then.
  mutating func bind(_ request: BindRequest, _ account: UserAccount)
    throws(ProtocolError) -> UnsafeMutablePointer<Binding>
  {
    let place = Int(request.handle)
    guard place < countMax else {
      throw ProtocolError(.limitReached, "handles run from 0 to \(countMax - 1) here")
    }
    if place >= count { try grow(toHold: place, account) }
    let binding = bindings.unsafelyUnwrapped + place
    let needed = Binding.allocated(request.tenant.count + request.policy.count)
    guard account.reserve(needed) else { throw .noMemory }
    let freed = binding.pointee.namesByteCount
    binding.pointee.target.name?.deallocate()
    account.giveBack(freed)
    byteCount += needed - freed
    let names = UnsafeMutableRawPointer.allocate(
      byteCount: request.tenant.count + request.policy.count, alignment: 1)
    names.copyMemory(from: request.tenant.baseAddress!, byteCount: request.tenant.count)
    (names + request.tenant.count)
      .copyMemory(from: request.policy.baseAddress!, byteCount: request.policy.count)
    binding.pointee.target.name = UnsafeRawPointer(names)
    binding.pointee.target.nameLength = UInt8(request.tenant.count)
    binding.pointee.policyLength = UInt8(request.policy.count)
    binding.pointee.generation = 0
    return binding
  }

  private mutating func grow(toHold place: Int, _ account: UserAccount) throws(ProtocolError) {
    var grown = max(16, count)
    while grown <= place { grown *= 2 }
    grown = min(grown, countMax)
    let needed = (grown - count) * MemoryLayout<Binding>.stride
    guard account.reserve(needed) else { throw .noMemory }
    byteCount += needed
    let memory = UnsafeMutablePointer<Binding>.allocate(capacity: grown)
    memset(memory, 0, grown * MemoryLayout<Binding>.stride)
    if let bindings {
      memory.update(from: bindings, count: count)
      bindings.deallocate()
    }
    bindings = memory
    count = grown
  }
}
