// Everything but checks by handle: hello, bind, the other queries, settling, releases.

import LimitEngine
import LimitPolicy
import LimitProtocol
import LimitRuntime

extension Session {
  /// Serves a frame that is no check by handle.
  @inline(never) mutating func serveOther(
    _ header: FrameHeader, _ body: UnsafeRawBufferPointer, _ turn: inout Turn
  ) throws(ProtocolError) {
    let operation = Operation(rawValue: header.operation)
    guard phase == .ready || operation == .hello else {
      throw ProtocolError(.helloExpected, "the first frame of a connection is a hello")
    }
    switch operation {
    case .check: try gather(QueryRequest(byHandle: body), .check, header, &turn)
    case .peek: try gather(QueryRequest(byHandle: body), .peek, header, &turn)
    case .acquire: try gather(QueryRequest(byHandle: body), .acquire, header, &turn)
    case .checkByName: try gather(QueryRequest(byName: body), .check, header, &turn)
    case .peekByName: try gather(QueryRequest(byName: body), .peek, header, &turn)
    case .acquireByName: try gather(QueryRequest(byName: body), .acquire, header, &turn)
    default:
      decideGathered(&turn)
      try serveAlone(operation, header, body, &turn)
    }
  }

  /// Serves what is not gathered. Everything before it has been decided.
  private mutating func serveAlone(
    _ operation: Operation?, _ header: FrameHeader, _ body: UnsafeRawBufferPointer,
    _ turn: inout Turn
  ) throws(ProtocolError) {
    switch operation {
    case .hello: return try greet(HelloRequest(body), id: header.id, &turn)
    case .bind: return try bind(BindRequest(body), id: header.id, &turn)
    case .batch: return try beginBatch(header, body, &turn)
    case .ping: guard body.isEmpty else { throw .long("ping") }
    case .release:
      guard let permit = permits.remove(try NumberRequest.decode(body)) else {
        throw ProtocolError(.unknownPermit, "this connection does not hold that permit")
      }
      turn.engine.release(permit)
    case .settle, .settleByName:
      try settle(SettleRequest(body, isByName: operation == .settleByName), &turn)
    case .setClock:
      guard turn.limits.isClockSettable else { throw .unknownOperation(header) }
      let nanoseconds = try NumberRequest.decode(body)
      guard nanoseconds <= Instant.max.nanoseconds else {
        throw ProtocolError(.malformed, "a time is below 2^62 ns")
      }
      clock = Instant(nanoseconds: nanoseconds)
    default: throw .unknownOperation(header)
    }
    turn.unitsLeft &-= 1
    EmptyFrame.encode(header.operation | Operation.reply, id: header.id, into: &turn.output)
  }

  // MARK: Hello

  private mutating func greet(
    _ hello: HelloRequest, id: UInt32, _ turn: inout Turn
  ) throws(ProtocolError) {
    guard phase == .awaitingHello else {
      throw ProtocolError(.malformed, "this connection has had its hello")
    }
    guard ProtocolVersion.current.serves(hello.version) else { throw .unsupportedVersion }
    phase = .ready
    let limits = turn.limits
    turn.unitsLeft &-= Turn.slowRequestUnits
    HelloReply(
      version: .current,
      capabilities: limits.isClockSettable ? HelloReply.canSetClock : 0,
      frameBytesMax: UInt32(limits.frameBytes), batchItemsMax: UInt16(limits.batchItems),
      keyBytesMax: UInt16(limits.keyBytes), handlesMax: UInt16(limits.handles),
      permitsMax: UInt16(limits.permits), roles: PeerRoles(access.anywhere),
      daemonVersion: turn.daemonVersion
    ).encode(id: id, into: &turn.output)
  }

  // MARK: Handles and names

  private mutating func bind(
    _ request: BindRequest, id: UInt32, _ turn: inout Turn
  ) throws(ProtocolError) {
    let policies = turn.rulebook.policies
    let tenant = try policies.tenant(called: request.tenant)
    guard !access.roles(for: tenant).isEmpty else { throw .notPermitted }
    guard tenant.standing != .unknown else {
      throw ProtocolError(.unknownTenant, "no tenant of that name, and no rule for others")
    }
    guard let policy = policies.policy(named: request.policy) else { throw .unknownPolicy }
    let binding = try bindings.bind(request, account)
    turn.unitsLeft &-= Turn.slowRequestUnits
    fill(binding, tenant, policy, &turn)
    let limits = policies.limits(of: policy).map { index in
      let limit = policies.limits[Int(index.rawValue)]
      return LimitDescription(
        algorithm: limit.settings.parameters.algorithm.rawValue, scope: limit.scope.rawValue,
        name: limit.name, unit: limit.unit)
    }
    BindReply(handle: request.handle, tag: policies.tag(of: policy), limits: limits)
      .encode(id: id, into: &turn.output)
  }

  private mutating func fill(
    _ binding: UnsafeMutablePointer<Binding>, _ tenant: Tenant, _ policy: PolicyIndex,
    _ turn: inout Turn
  ) {
    binding.pointee.target = Target(
      tenant, policy, name: binding.pointee.tenantName, &turn)
    binding.pointee.roles = access.roles(for: tenant)
    // The session's: the turn may have begun another amid its input, which then has all looked at anew.
    binding.pointee.generation = generation
  }

  /// What a request is about, if this peer has `role` there.
  ///
  /// Mutating, though it changes nothing: a session or a turn that is borrowed from one that may
  /// change is copied, 130 bytes each for every query (seen in the machine code).
  @inline(__always) mutating func resolve(
    _ subject: QuerySubject, for role: Roles, _ turn: inout Turn
  ) throws(ProtocolError) -> Target {
    guard case .handle(let handle) = subject else {
      return try resolveNames(subject, for: role, &turn)
    }
    guard let binding = bindings[handle] else { throw .unknownHandle(handle) }
    if binding.pointee.generation != generation { try bindAnew(binding, handle, &turn) }
    guard binding.pointee.roles.contains(role) else { throw .notPermitted }
    return binding.pointee.target
  }

  @inline(never) private mutating func resolveNames(
    _ subject: QuerySubject, for role: Roles, _ turn: inout Turn
  ) throws(ProtocolError) -> Target {
    guard case .names(let tenantName, let policyName) = subject else {
      preconditionFailure("handles are resolved by their binding")
    }
    let policies = turn.rulebook.policies
    let tenant = try policies.tenant(called: tenantName)
    guard access.roles(for: tenant).contains(role) else { throw .notPermitted }
    guard let policy = policies.policy(named: policyName) else { throw .unknownPolicy }
    return Target(tenant, policy, name: tenantName, &turn)
  }

  /// Looks a handle's names up in the rulebook in force.
  @inline(never) private mutating func bindAnew(
    _ binding: UnsafeMutablePointer<Binding>, _ handle: UInt16, _ turn: inout Turn
  ) throws(ProtocolError) {
    guard let names = bindings.names(binding) else { throw .unknownHandle(handle) }
    let policies = turn.rulebook.policies
    guard let policy = policies.policy(named: names.policy) else { throw .unknownPolicy }
    fill(binding, policies.tenant(named: names.tenant), policy, &turn)
  }

  // MARK: Settle

  private mutating func settle(_ request: SettleRequest, _ turn: inout Turn) throws(ProtocolError) {
    guard request.key.count <= turn.limits.keyBytes else { throw .keyTooLong(turn.limits) }
    let target = try resolve(request.subject, for: .settle, &turn)
    let query = Query(
      tenant: target.tenant, policy: target.policy,
      key: target.tenant.fingerprint(ofKey: request.key), cost: request.cost)
    guard let receipt = Receipt(request.receipt, cost: request.cost) else { throw .staleReceipt }
    switch turn.engine.settle(
      query, receipt, actual: request.actual, under: turn.policies, at: clock ?? turn.now)
    {
    case .settled: break
    case .stale: throw .staleReceipt
    }
  }
}

/// What a query's subject means under the rulebook in force.
struct Target: BitwiseCopyable {
  var tenant: Tenant
  var policy: PolicyIndex
  /// How many limits the policy has, 1 ... 16.
  var limitCount: UInt16
  /// Where its decisions are counted.
  var counters: UInt16
  /// The tenant's name, in the frame that it came with or in the handle's binding.
  var nameLength: UInt8
  var name: UnsafeRawPointer?

  /// - Parameter name: the tenant's; valid as long as this is used.
  init(
    _ tenant: Tenant, _ policy: PolicyIndex, name: UnsafeRawBufferPointer, _ turn: inout Turn
  ) {
    self.tenant = tenant
    self.policy = policy
    self.name = name.baseAddress
    nameLength = UInt8(truncatingIfNeeded: name.count)
    limitCount = UInt16(turn.policies.limitCount(of: policy))
    counters = turn.counterIndex.number(for: tenant, policy, in: turn.policies, name: name)
  }
}

extension PolicySet {
  /// The tenant that a peer names. What the file names is a name already; what it does not must be
  /// one that it could.
  fileprivate func tenant(called name: UnsafeRawBufferPointer) throws(ProtocolError) -> Tenant {
    let tenant = tenant(named: name)
    guard tenant.isNamed || TenantName.isValid(name) else { throw .notAName }
    return tenant
  }
}

extension ProtocolError {
  @inline(never) fileprivate static var staleReceipt: ProtocolError {
    ProtocolError(
      .staleReceipt, "not a receipt of this tenant and key, or the policy has other limits now")
  }

  @inline(never) fileprivate static var notAName: ProtocolError {
    ProtocolError(
      .malformed, "a tenant's name is UTF-8 without white space and control characters")
  }

  @inline(never) fileprivate static func unknownHandle(_ handle: UInt16) -> ProtocolError {
    ProtocolError(.unknownHandle, "handle \(handle) is not bound on this connection")
  }

  fileprivate static var unknownPolicy: ProtocolError {
    ProtocolError(.unknownPolicy, "there is no policy of that name")
  }

  fileprivate static var notPermitted: ProtocolError {
    ProtocolError(.notPermitted, "this user may not do that for that tenant")
  }

  fileprivate static func unknownOperation(_ header: FrameHeader) -> ProtocolError {
    ProtocolError(.unknownOperation, "operation \(header.operation) is unknown here")
  }
}
