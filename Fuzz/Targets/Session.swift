// What libFuzzer calls for the session: the first byte chooses how it is run, the rest is what a
// client sends.

import LimitEngine
import LimitProtocol
import LimitRuntime

@testable import LimitServer

/// How a run goes, as bits of the first byte.
private struct Way: OptionSet {
  let rawValue: UInt8
  /// Hello and some handles first, without which most input ends at once.
  static let greeted = Way(rawValue: 1)
  /// Turns that cost little.
  static let shortTurns = Way(rawValue: 2)
  /// Input in small pieces.
  static let dripping = Way(rawValue: 4)
  /// Other rules after half of it.
  static let reloaded = Way(rawValue: 8)
  /// Room for few replies.
  static let narrow = Way(rawValue: 16)
}

private let policy = """
  limits:
    rate: {algorithm: token-bucket, rate: 10/s, burst: 20, scope: key}
    budget: {algorithm: sliding-window, limit: 1000, window: 1m, scope: tenant, unit: tokens}
    held: {algorithm: concurrency, limit: 3, scope: tenant}
    watch: {algorithm: token-bucket, rate: 1/s, burst: 2, scope: global, mode: shadow}
  policies: {all: [rate, budget, held, watch], one: [rate], holds: [held]}
  tenants: {"*": {}, acme: {}, banned: {blocked: true}, free: {unlimited: true}}
  """

/// Without a policy, without unnamed tenants, and with access for some.
private let otherPolicy = """
  limits:
    rate: {algorithm: token-bucket, rate: 5/s, burst: 9, scope: key}
    held: {algorithm: concurrency, limit: 2, scope: tenant}
  policies: {all: [held, rate], holds: [held]}
  tenants: {acme: {}, free: {blocked: true}}
  daemon: {access: [{user: 4001, roles: [query], tenants: [acme]}]}
  """

/// Serves a client's bytes. Every whole frame has one reply, in order, that can be read; nothing is
/// held when the session has ended.
@_cdecl("limitd_fuzz_session")
public func fuzzSession(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  let bytes = Array(UnsafeBufferPointer(start: start, count: count))
  guard let first = bytes.first else { return 0 }
  let way = Way(rawValue: first)
  let sent = (way.contains(.greeted) ? greeting : []) + bytes.dropFirst()
  do {
    var server = try MemoryServer(policy, keySlots: 1024)
    server.limits.frameBytes = 4096
    server.limits.batchItems = 100
    server.limits.handles = 40
    server.limits.permits = 5
    server.limits.isClockSettable = true
    if way.contains(.narrow) { server.queueBytes = 0 }
    try serve(sent, server, way)
  } catch {
    fatalError("\(error)")
  }
  return 0
}

private func serve(_ sent: [UInt8], _ server: MemoryServer, _ way: Way) throws {
  var peer = try MemoryPeer(server)
  if way.contains(.shortTurns) { peer.unitsPerTurn = 3 }
  let piece = way.contains(.dripping) ? 7 : sent.count
  var now = Instant(nanoseconds: 1 << 40)
  for place in stride(from: 0, to: sent.count, by: max(1, piece)) {
    if way.contains(.reloaded), place >= sent.count / 2 { peer.adopt(try otherRules.get()) }
    peer.send(sent[place..<min(sent.count, place + piece)], at: now)
    now = Instant(nanoseconds: now.nanoseconds + 50_000_000)
  }
  let isClosed = peer.isClosed
  let replies = identifiers(peer.takeReplies(), check: true)
  let requests = identifiers(sent, check: false)
  precondition(
    isClosed ? replies.count <= requests.count + 1 : replies == requests,
    "each request has one reply, in order: \(requests) \(replies)")
  peer.end()
  if let violation = server.engine.invariantViolation(at: now) { fatalError(violation) }
}

private let otherRules = Result { try MemoryServer.rulebook(otherPolicy) }

/// A hello, and handles 0 to 4.
private let greeting: [UInt8] = {
  let bindings = [
    ("acme", "all"), ("acme", "one"), ("banned", "one"), ("free", "holds"), ("someone", "all"),
  ]
  let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 8)
  defer { memory.deallocate() }
  var writer = WireWriter(memory)
  HelloRequest(version: .current, clientName: "fuzz").encode(id: 0, into: &writer)
  for (handle, (tenant, policy)) in bindings.enumerated() {
    Array(tenant.utf8).withUnsafeBytes { tenant in
      Array(policy.utf8).withUnsafeBytes { policy in
        BindRequest(handle: UInt16(handle), tenant: tenant, policy: policy)
          .encode(id: UInt32(handle), into: &writer)
      }
    }
  }
  return Array(writer.bytes)
}()

/// The ids of the whole frames in `bytes`.
///
/// - Parameter check: whether they are replies, which must be readable and end where `bytes` do.
private func identifiers(_ bytes: [UInt8], check: Bool) -> [UInt32] {
  bytes.withUnsafeBytes { bytes in
    var ids: [UInt32] = []
    var rest = bytes
    let lengthMax = check ? FrameHeader.lengthMax : 4096
    while case .frame(let header, let body) = Framing.next(in: rest, lengthMax: lengthMax) {
      if check {
        let reply = try? Body(replyOf: header.operation, body)
        precondition(reply != nil, "a reply can be read: \(header), \(Array(body))")
      }
      ids.append(header.id)
      rest = UnsafeRawBufferPointer(rebasing: rest[header.length...])
    }
    precondition(!check || rest.isEmpty, "replies are whole")
    return ids
  }
}
