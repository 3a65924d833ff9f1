// The answer to bind: the limits of the policy, so that a place in it has a name.

/// One limit of a policy, as bind's reply describes it.
public struct LimitDescription: Hashable, Sendable {
  /// 0 token bucket, 1 sliding window, 2 concurrency.
  public var algorithm: UInt8
  /// 0 key, 1 tenant, 2 global.
  public var scope: UInt8
  /// 1 to 64 bytes.
  public var name: String
  /// 1 to 64 bytes.
  public var unit: String

  public init(algorithm: UInt8, scope: UInt8, name: String, unit: String) {
    self.algorithm = algorithm
    self.scope = scope
    self.name = name
    self.unit = unit
  }

  var byteCount: Int { 4 + name.utf8.count + unit.utf8.count }
}

/// The body of the reply to bind.
public struct BindReply: Hashable, Sendable {
  public var handle: UInt16
  /// Stands for the list of limits.
  public var tag: UInt32
  /// In the policy's order.
  public var limits: [LimitDescription]

  /// The most limits that a policy has.
  public static let limitsMax = 16
  /// No reply to bind is longer: sixteen limits with names and units of 64 bytes.
  public static let byteCountMax = 16 + limitsMax * (4 + 64 + 64)

  public init(handle: UInt16, tag: UInt32, limits: [LimitDescription]) {
    self.handle = handle
    self.tag = tag
    self.limits = limits
  }

  public init(_ body: UnsafeRawBufferPointer) throws(ProtocolError) {
    var reader = WireReader(body)
    guard let handle = reader.read(UInt16.self), let count = reader.read(UInt8.self),
      let zero = reader.read(UInt8.self), let tag = reader.read(UInt32.self)
    else { throw .short("the reply to bind") }
    guard zero == 0 else { throw .notZero("the reply to bind") }
    guard 1...Self.limitsMax ~= Int(count) else {
      throw ProtocolError(.malformed, "a policy has 1 to \(Self.limitsMax) limits")
    }
    self.handle = handle
    self.tag = tag
    limits = []
    for _ in 0..<count {
      guard let algorithm = reader.read(UInt8.self), let scope = reader.read(UInt8.self),
        let nameLength = reader.read(UInt8.self), let unitLength = reader.read(UInt8.self),
        let name = reader.readBytes(Int(nameLength)), let unit = reader.readBytes(Int(unitLength))
      else { throw .short("the reply to bind") }
      guard let name = String(validating: name, as: UTF8.self),
        let unit = String(validating: unit, as: UTF8.self)
      else { throw .notText("a limit's name or unit") }
      limits.append(
        LimitDescription(algorithm: algorithm, scope: scope, name: name, unit: unit))
    }
  }

  public var byteCount: Int {
    FrameHeader.byteCount + 8 + limits.reduce(0) { $0 + $1.byteCount }
  }

  /// - Precondition: 1 to 16 limits, names and units of at most 255 bytes.
  public func encode(id: UInt32, into writer: inout WireWriter) {
    precondition(1...Self.limitsMax ~= limits.count, "a policy has 1 to 16 limits")
    FrameHeader(length: byteCount, operation: Operation.bind.replyNumber, id: id)
      .encode(into: &writer)
    writer.write(handle)
    writer.write(UInt16(limits.count))
    writer.write(tag)
    for limit in limits {
      writer.write(limit.algorithm)
      writer.write(limit.scope)
      writer.write(UInt8(limit.name.utf8.count))
      writer.write(UInt8(limit.unit.utf8.count))
      writer.write(text: limit.name)
      writer.write(text: limit.unit)
    }
  }
}
