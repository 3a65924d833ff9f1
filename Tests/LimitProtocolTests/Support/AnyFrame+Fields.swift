// The frame that the fields of a vector describe.

import LimitProtocol

extension AnyFrame {
  init(_ fields: JSON, _ direction: Direction) throws {
    operation = try fields.number("operation")
    id = try fields.number("id")
    body =
      switch direction {
      case .request: try Body(requestOf: operation, fields)
      case .reply: try Body(replyOf: operation, fields)
      }
  }
}

extension Body {
  fileprivate init(requestOf operation: UInt8, _ fields: JSON) throws {
    switch Operation(rawValue: operation) {
    case .hello:
      self = .hello(
        HelloRequest(version: try fields.version(), clientName: try fields.text("client")))
    case .ping: self = .empty
    case .bind:
      self = .bind(
        handle: try fields.number("handle"), tenant: Array(try fields.text("tenant").utf8),
        policy: Array(try fields.text("policy").utf8))
    case .check, .peek, .acquire, .checkByName, .peekByName, .acquireByName:
      self = .query(
        try fields.subject(operation), cost: try fields.number("cost"), key: try fields.key())
    case .release: self = .number(try fields.wide("permit"))
    case .settle, .settleByName:
      self = .settle(
        try fields.subject(operation), cost: try fields.number("cost"),
        actual: try fields.number("actual"), try fields.receipt(), key: try fields.key())
    case .batch:
      self = .batch(
        try fields.list("items").map {
          Item(handle: try $0.number("handle"), cost: try $0.number("cost"), key: try $0.key())
        })
    case .setClock: self = .number(try fields.wide("nanoseconds"))
    case nil: throw JSON.Mismatch(field: "operation")
    }
  }

  fileprivate init(replyOf number: UInt8, _ fields: JSON) throws {
    switch number {
    case 0x81:
      self = .helloReply(
        HelloReply(
          version: try fields.version(), capabilities: try fields.number("capabilities"),
          frameBytesMax: try fields.number("frame_bytes_max"),
          batchItemsMax: try fields.number("batch_items_max"),
          keyBytesMax: try fields.number("key_bytes_max"),
          handlesMax: try fields.number("handles"), permitsMax: try fields.number("permits_max"),
          roles: PeerRoles(rawValue: try fields.number("roles")),
          daemonVersion: try fields.text("daemon")))
    case 0x83:
      let limits = try fields.list("limits").map {
        LimitDescription(
          algorithm: try $0.number("algorithm"), scope: try $0.number("scope"),
          name: try $0.text("name"), unit: try $0.text("unit"))
      }
      self = .bindReply(
        BindReply(
          handle: try fields.number("handle"), tag: try fields.number("tag"), limits: limits))
    case 0x82, 0x87, 0x88, 0xC8, 0xFE: self = .empty
    case 0x84, 0x85, 0xC4, 0xC5: self = .decision(try fields.record(), permit: nil)
    case 0x86, 0xC6: self = .decision(try fields.record(), permit: try fields.wide("permit"))
    case 0x89: self = .batchReply(try fields.list("items").map { try $0.record() })
    case 0xFF:
      self = .error(
        ErrorReply(
          code: try fields.number("code"), detail: try fields.number("detail"),
          text: try fields.text("text")))
    default: throw JSON.Mismatch(field: "operation")
    }
  }
}

extension JSON {
  fileprivate func version() throws -> ProtocolVersion {
    ProtocolVersion(major: try number("major"), minor: try number("minor"))
  }

  fileprivate func key() throws -> [UInt8] { [UInt8](hex: try text("key_hex")) }

  fileprivate func subject(_ operation: UInt8) throws -> Subject {
    if operation & 0x40 == 0 { return .handle(try number("handle")) }
    return .names(tenant: Array(try text("tenant").utf8), policy: Array(try text("policy").utf8))
  }

  fileprivate func receipt() throws -> WireReceipt {
    let receipt = try field("receipt")
    return WireReceipt(
      tag: try receipt.number("tag"), decidedAt: try receipt.wide("decided_at"),
      charged: try receipt.number("charged"), shadow: try receipt.number("shadow"),
      escalated: try receipt.number("escalated"), mac: try receipt.wide("mac"))
  }

  fileprivate func record() throws -> DecisionRecord {
    DecisionRecord(
      outcome: DecisionOutcome(rawValue: try number("outcome")),
      reason: DecisionReason(rawValue: try number("reason")),
      flags: DecisionFlags(rawValue: try number("flags")),
      place: try number("limit"), receipt: try receipt(), capacity: try wide("capacity"),
      remaining: try wide("remaining"), retryAfter: try wide("retry_after"),
      resetAfter: try wide("reset_after"))
  }
}
