// Everything but checks by handle: hello, bind, the other queries, settling, releases.

import LimitEngine
import LimitProtocol

extension Session {
  /// What a query's subject means under the rulebook in force.
  struct Target {
    var tenant: Tenant
    var policy: PolicyIndex
  }

  /// Serves a frame that is no check by handle.
  ///
  /// - Returns: whether the connection goes on.
  @inline(never) mutating func serveOther(
    _ header: FrameHeader, _ body: UnsafeRawBufferPointer, at now: Instant,
    into output: inout WireWriter, gathering group: inout QueryGroup,
    in work: borrowing Workplace
  ) throws(ProtocolError) -> Bool {
    let operation = Operation(rawValue: header.operation)
    guard phase == .ready || operation == .hello else {
      throw ProtocolError(.helloExpected, "the first frame of a connection is a hello")
    }
    switch operation {
    case .check:
      try gather(QueryRequest(byHandle: body), .check, header, gathering: &group, in: work)
    case .peek: try gather(QueryRequest(byHandle: body), .peek, header, gathering: &group, in: work)
    case .acquire:
      try gather(QueryRequest(byHandle: body), .acquire, header, gathering: &group, in: work)
    case .checkByName:
      try gather(QueryRequest(byName: body), .check, header, gathering: &group, in: work)
    case .peekByName:
      try gather(QueryRequest(byName: body), .peek, header, gathering: &group, in: work)
    case .acquireByName:
      try gather(QueryRequest(byName: body), .acquire, header, gathering: &group, in: work)
    default:
      decideGathered(at: now, into: &output, gathering: &group, in: work)
      try serveAlone(operation, header, body, at: now, into: &output, gathering: &group, in: work)
    }
    return true
  }

  /// Serves what is not gathered. Everything before it has been decided.
  private mutating func serveAlone(
    _ operation: Operation?, _ header: FrameHeader, _ body: UnsafeRawBufferPointer,
    at now: Instant, into output: inout WireWriter, gathering group: inout QueryGroup,
    in work: borrowing Workplace
  ) throws(ProtocolError) {
    switch operation {
    case .hello:
      try greet(HelloRequest(body), id: header.id, into: &output, in: work)
      return
    case .bind:
      try bind(BindRequest(body), id: header.id, into: &output, in: work)
      return
    case .batch:
      try serveBatch(header, body, at: now, into: &output, gathering: &group, in: work)
      return
    case .ping: guard body.isEmpty else { throw .long("ping") }
    case .release:
      guard let permit = permits.remove(try NumberRequest.decode(body)) else {
        throw ProtocolError(.unknownPermit, "this connection does not hold that permit")
      }
      work.engine.release(permit)
    case .settle, .settleByName:
      let request = try SettleRequest(body, isByName: operation == .settleByName)
      try settle(request, at: now, in: work)
    case .setClock:
      guard work.limits.isClockSettable else { throw .unknownOperation(header) }
      let nanoseconds = try NumberRequest.decode(body)
      guard nanoseconds <= Instant.max.nanoseconds else {
        throw ProtocolError(.malformed, "a time is below 2^62 ns")
      }
      clock = Instant(nanoseconds: nanoseconds)
    default: throw .unknownOperation(header)
    }
    EmptyFrame.encode(header.operation | Operation.reply, id: header.id, into: &output)
  }

  // MARK: Hello

  private mutating func greet(
    _ hello: HelloRequest, id: UInt32, into output: inout WireWriter, in work: borrowing Workplace
  ) throws(ProtocolError) {
    guard phase == .awaitingHello else {
      throw ProtocolError(.malformed, "this connection has had its hello")
    }
    guard ProtocolVersion.current.serves(hello.version) else { throw .unsupportedVersion }
    phase = .ready
    let limits = work.limits
    HelloReply(
      version: .current,
      capabilities: limits.isClockSettable ? HelloReply.canSetClock : 0,
      frameBytesMax: UInt32(limits.frameBytes), batchItemsMax: UInt16(limits.batchItems),
      keyBytesMax: UInt16(limits.keyBytes), handlesMax: UInt16(limits.handles),
      permitsMax: UInt16(limits.permits), roles: access.anywhere,
      daemonVersion: work.daemonVersion
    ).encode(id: id, into: &output)
  }

  // MARK: Handles and names

  private mutating func bind(
    _ request: BindRequest, id: UInt32, into output: inout WireWriter, in work: borrowing Workplace
  ) throws(ProtocolError) {
    let policies = work.rulebook.policies
    let tenant = try policies.tenant(called: request.tenant)
    guard !access.roles(for: tenant).isEmpty else { throw .notPermitted }
    guard tenant.standing != .unknown else {
      throw ProtocolError(.unknownTenant, "no tenant of that name, and no rule for others")
    }
    guard let policy = policies.policy(named: request.policy) else { throw .unknownPolicy }
    guard let binding = bindings.bind(request) else {
      throw ProtocolError(.limitReached, "handles run from 0 to \(work.limits.handles - 1) here")
    }
    fill(binding, tenant, policy, under: work.rulebook)
    let limits = policies.limits(of: policy).map { index in
      let limit = policies.limits[Int(index.rawValue)]
      return LimitDescription(
        algorithm: limit.settings.parameters.algorithm.rawValue, scope: limit.scope.rawValue,
        name: limit.name, unit: limit.unit)
    }
    BindReply(handle: request.handle, tag: policies.tag(of: policy), limits: limits)
      .encode(id: id, into: &output)
  }

  private func fill(
    _ binding: UnsafeMutablePointer<Binding>, _ tenant: Tenant, _ policy: PolicyIndex,
    under rulebook: Rulebook
  ) {
    binding.pointee.tenant = tenant
    binding.pointee.policy = policy
    binding.pointee.roles = access.roles(for: tenant)
    binding.pointee.generation = rulebook.generation
  }

  /// What a request is about, if this peer has `role` there.
  @inline(__always) func resolve(
    _ subject: QuerySubject, for role: PeerRoles, in work: borrowing Workplace
  ) throws(ProtocolError) -> Target {
    guard case .handle(let handle) = subject else {
      return try resolveNames(subject, for: role, in: work)
    }
    guard let binding = bindings[handle] else { throw .unknownHandle(handle) }
    if binding.pointee.generation != generation {
      try bindAnew(binding, handle, in: work)
    }
    guard binding.pointee.roles.contains(role) else { throw .notPermitted }
    return Target(tenant: binding.pointee.tenant, policy: binding.pointee.policy)
  }

  @inline(never) private func resolveNames(
    _ subject: QuerySubject, for role: PeerRoles, in work: borrowing Workplace
  ) throws(ProtocolError) -> Target {
    guard case .names(let tenantName, let policyName) = subject else {
      preconditionFailure("handles are resolved by their binding")
    }
    let policies = work.rulebook.policies
    let tenant = try policies.tenant(called: tenantName)
    guard access.roles(for: tenant).contains(role) else { throw .notPermitted }
    guard let policy = policies.policy(named: policyName) else { throw .unknownPolicy }
    return Target(tenant: tenant, policy: policy)
  }

  /// Looks a handle's names up in the rulebook in force.
  @inline(never) private func bindAnew(
    _ binding: UnsafeMutablePointer<Binding>, _ handle: UInt16, in work: borrowing Workplace
  ) throws(ProtocolError) {
    guard let names = bindings.names(binding) else { throw .unknownHandle(handle) }
    let policies = work.rulebook.policies
    guard let policy = policies.policy(named: names.policy) else { throw .unknownPolicy }
    fill(binding, policies.tenant(named: names.tenant), policy, under: work.rulebook)
  }

  // MARK: Settle

  private func settle(_ request: SettleRequest, at now: Instant, in work: borrowing Workplace)
    throws(ProtocolError)
  {
    guard request.key.count <= work.limits.keyBytes else { throw .keyTooLong(work.limits) }
    let target = try resolve(request.subject, for: .settle, in: work)
    let query = Query(
      tenant: target.tenant, policy: target.policy,
      key: target.tenant.fingerprint(ofKey: request.key), cost: request.cost)
    guard let receipt = Receipt(request.receipt, cost: request.cost) else { throw .staleReceipt }
    switch work.engine.settle(
      query, receipt, actual: request.actual, under: work.policies, at: clock ?? now)
    {
    case .settled: break
    case .stale: throw .staleReceipt
    }
  }
}

extension Receipt {
  /// The receipt as it came back; `nil` where its time is none of the engine's.
  fileprivate init?(_ wire: WireReceipt, cost: UInt64) {
    guard wire.decidedAt <= Instant.max.nanoseconds else { return nil }
    self.init(
      tag: wire.tag, decidedAt: Instant(nanoseconds: wire.decidedAt), cost: cost,
      charged: wire.charged, shadow: wire.shadow, escalated: wire.escalated, mac: wire.mac)
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
  fileprivate static var staleReceipt: ProtocolError {
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
