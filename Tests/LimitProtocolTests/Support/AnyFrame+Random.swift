// Made-up frames: every operation in both directions, its fields at random within the document's
// bounds, their extremes more often than chance would have it.

import LimitProtocol
import TestSupport

extension AnyFrame {
  /// A frame of `operation`, or of its reply.
  static func random(
    _ operation: Operation, _ direction: Direction, _ random: inout SeededGenerator
  ) -> AnyFrame {
    let id = UInt32(truncatingIfNeeded: random.field(below: 32))
    switch direction {
    case .request:
      let body = requestBody(operation, &random)
      return AnyFrame(operation: operation.rawValue, id: id, body: body)
    case .reply:
      let body = replyBody(operation, &random)
      return AnyFrame(operation: operation.replyNumber, id: id, body: body)
    }
  }

  static func randomError(_ random: inout SeededGenerator) -> AnyFrame {
    let code = UInt16(truncatingIfNeeded: random.field(below: 16))
    let detail = UInt16(truncatingIfNeeded: random.field(below: 16))
    let reply = ErrorReply(code: code, detail: detail, text: random.text(0...240))
    return AnyFrame(
      operation: Operation.error, id: UInt32(truncatingIfNeeded: random.next()), body: .error(reply)
    )
  }

  private static func requestBody(
    _ operation: Operation, _ random: inout SeededGenerator
  ) -> Body {
    switch operation {
    case .hello:
      let version = ProtocolVersion(major: random.short(), minor: random.short())
      return .hello(HelloRequest(version: version, clientName: random.text(0...64)))
    case .ping: return .empty
    case .bind:
      return .bind(
        handle: random.short(), tenant: random.bytes(1...255), policy: random.bytes(1...64))
    case .check, .peek, .acquire, .checkByName, .peekByName, .acquireByName:
      return .query(
        random.subject(operation), cost: random.field(below: 48), key: random.bytes(0...1024))
    case .release, .setClock: return .number(random.field(below: 62))
    case .settle, .settleByName:
      return .settle(
        random.subject(operation), cost: random.field(below: 48), actual: random.field(below: 48),
        random.receipt(),
        key: random.bytes(0...1024))
    case .batch:
      let items = (0..<Int.random(in: 1...40, using: &random)).map { _ in
        Item(handle: random.short(), cost: random.field(below: 48), key: random.bytes(0...100))
      }
      return .batch(items)
    }
  }

  private static func replyBody(_ operation: Operation, _ random: inout SeededGenerator) -> Body {
    switch operation {
    case .hello:
      return .helloReply(
        HelloReply(
          version: ProtocolVersion(major: random.short(), minor: random.short()),
          capabilities: UInt32(random.field(below: 32)),
          frameBytesMax: UInt32(random.field(below: 32)), batchItemsMax: random.short(),
          keyBytesMax: random.short(), handlesMax: random.short(), permitsMax: random.short(),
          roles: PeerRoles(rawValue: random.byte()), daemonVersion: random.text(0...100)))
    case .bind:
      let limits = (0..<Int.random(in: 1...16, using: &random)).map { _ in
        LimitDescription(
          algorithm: random.byte(), scope: random.byte(), name: random.text(1...64),
          unit: random.text(1...64))
      }
      return .bindReply(
        BindReply(handle: random.short(), tag: UInt32(random.field(below: 32)), limits: limits))
    case .ping, .release, .settle, .settleByName, .setClock: return .empty
    case .check, .peek, .checkByName, .peekByName:
      return .decision(random.record(), permit: nil)
    case .acquire, .acquireByName:
      return .decision(random.record(), permit: random.field(below: 64))
    case .batch:
      return .batchReply((0..<Int.random(in: 1...40, using: &random)).map { _ in random.record() })
    }
  }
}

extension SeededGenerator {
  /// A number below 2^`bits`: now and then 0 or the highest.
  fileprivate mutating func field(below bits: UInt64) -> UInt64 {
    let mask = UInt64.max >> (64 - bits)
    switch next() % 8 {
    case 0: return 0
    case 1: return mask
    default: return next() & mask
    }
  }

  fileprivate mutating func byte() -> UInt8 { UInt8(field(below: 8)) }
  fileprivate mutating func short() -> UInt16 { UInt16(field(below: 16)) }

  private mutating func count(_ range: ClosedRange<Int>) -> Int {
    switch next() % 8 {
    case 0: return range.lowerBound
    case 1: return range.upperBound
    default: return Int.random(in: range, using: &self)
    }
  }

  fileprivate mutating func bytes(_ range: ClosedRange<Int>) -> [UInt8] {
    (0..<count(range)).map { _ in UInt8(truncatingIfNeeded: next()) }
  }

  /// Text whose length in UTF-8 lies in `range`, with characters of one to four bytes.
  fileprivate mutating func text(_ range: ClosedRange<Int>) -> String {
    let count = count(range)
    var text = ""
    while text.utf8.count < count {
      let scalar = ["a", "é", "東", "🚦", "\0"].randomElement(using: &self)!
      text += text.utf8.count + scalar.utf8.count <= count ? scalar : "z"
    }
    return text
  }

  fileprivate mutating func subject(_ operation: Operation) -> Subject {
    operation.rawValue & 0x40 == 0
      ? .handle(short()) : .names(tenant: bytes(1...255), policy: bytes(1...64))
  }

  fileprivate mutating func receipt() -> WireReceipt {
    WireReceipt(
      tag: UInt32(field(below: 32)), decidedAt: field(below: 62), charged: short(),
      shadow: short(), escalated: UInt32(field(below: 32)), mac: field(below: 64))
  }

  fileprivate mutating func record() -> DecisionRecord {
    DecisionRecord(
      outcome: DecisionOutcome(rawValue: byte()), reason: DecisionReason(rawValue: byte()),
      flags: DecisionFlags(rawValue: byte()), place: byte(), receipt: receipt(),
      capacity: field(below: 64), remaining: field(below: 64), retryAfter: field(below: 64),
      resetAfter: field(below: 64))
  }
}
