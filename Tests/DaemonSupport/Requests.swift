// Frames as bytes, written from docs/PROTOCOL.md and not with the daemon's own encoders: so that
// what both sides of the code believe wrongly is found, and so that a frame may be wrong on purpose.

/// Bytes of requests. Every function returns one whole frame.
public enum Request {
  /// A frame with any body.
  ///
  /// - Parameter length: what the header says, where that is not the truth.
  public static func frame(
    _ operation: UInt8, _ body: [UInt8] = [], id: UInt32 = 1, length: Int? = nil
  ) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(8 + body.count)
    bytes.append(number: UInt64(length ?? body.count + 8), bytes: 3)
    bytes.append(operation)
    bytes.append(number: UInt64(id), bytes: 4)
    bytes += body
    return bytes
  }

  public static func hello(
    name: String = "test", major: UInt16 = 1, minor: UInt16 = 0, id: UInt32 = 1
  ) -> [UInt8] {
    var body = Array("LMTD".utf8)
    body.append(number: UInt64(major), bytes: 2)
    body.append(number: UInt64(minor), bytes: 2)
    return frame(0x01, body + name.utf8, id: id)
  }

  public static func ping(id: UInt32 = 1) -> [UInt8] { frame(0x02, id: id) }

  public static func bind(
    _ handle: UInt16 = 0, _ tenant: String, _ policy: String, id: UInt32 = 1
  ) -> [UInt8] {
    var body: [UInt8] = []
    body.append(number: UInt64(handle), bytes: 2)
    body += [UInt8(tenant.utf8.count), UInt8(policy.utf8.count)]
    return frame(0x03, body + tenant.utf8 + policy.utf8, id: id)
  }

  /// What a query asks for.
  public enum Query: UInt8 { case check = 0x04, peek = 0x05, acquire = 0x06 }

  /// A query by handle.
  public static func query(
    _ query: Query = .check, handle: UInt16 = 0, cost: UInt64 = 1, key: String = "k",
    id: UInt32 = 1
  ) -> [UInt8] {
    var body: [UInt8] = []
    body.append(number: UInt64(handle), bytes: 2)
    body.append(number: cost, bytes: 6)
    return frame(query.rawValue, body + key.utf8, id: id)
  }

  /// A query by name.
  public static func query(
    _ tenant: String, _ policy: String, _ query: Query = .check, cost: UInt64 = 1,
    key: String = "k", id: UInt32 = 1
  ) -> [UInt8] {
    var body = [UInt8(tenant.utf8.count), UInt8(policy.utf8.count)]
    body.append(number: cost, bytes: 6)
    return frame(query.rawValue | 0x40, body + tenant.utf8 + policy.utf8 + key.utf8, id: id)
  }

  public static func release(_ permit: UInt64, id: UInt32 = 1) -> [UInt8] {
    var body: [UInt8] = []
    body.append(number: permit, bytes: 8)
    return frame(0x07, body, id: id)
  }

  /// Corrects a decision by name.
  ///
  /// - Parameter receipt: the 28 bytes of a decision.
  public static func settle(
    _ tenant: String, _ policy: String, cost: UInt64, actual: UInt64, receipt: [UInt8],
    key: String = "k", id: UInt32 = 1
  ) -> [UInt8] {
    var body = [UInt8(tenant.utf8.count), UInt8(policy.utf8.count)]
    body.append(number: cost, bytes: 6)
    body.append(number: actual, bytes: 8)
    return frame(0x48, body + receipt + tenant.utf8 + policy.utf8 + key.utf8, id: id)
  }

  /// Corrects a decision by handle.
  ///
  /// - Parameter receipt: the 28 bytes of a decision, or others.
  public static func settle(
    handle: UInt16 = 0, cost: UInt64, actual: UInt64, receipt: [UInt8], key: String = "k",
    id: UInt32 = 1
  ) -> [UInt8] {
    var body: [UInt8] = []
    body.append(number: UInt64(handle), bytes: 2)
    body.append(number: cost, bytes: 6)
    body.append(number: actual, bytes: 8)
    return frame(0x08, body + receipt + key.utf8, id: id)
  }

  /// One check of a batch.
  public struct Item: Sendable {
    public var handle: UInt16
    public var cost: UInt64
    public var key: String

    public init(_ handle: UInt16 = 0, cost: UInt64 = 1, key: String = "k") {
      self.handle = handle
      self.cost = cost
      self.key = key
    }
  }

  public static func batch(_ items: [Item], id: UInt32 = 1) -> [UInt8] {
    var body: [UInt8] = []
    body.append(number: UInt64(items.count), bytes: 4)
    for item in items {
      body.append(number: UInt64(item.handle), bytes: 2)
      body.append(number: item.cost, bytes: 6)
      body.append(number: UInt64(item.key.utf8.count), bytes: 2)
      body += item.key.utf8
    }
    return frame(0x09, body, id: id)
  }

  public static func setClock(nanoseconds: UInt64, id: UInt32 = 1) -> [UInt8] {
    var body: [UInt8] = []
    body.append(number: nanoseconds, bytes: 8)
    return frame(0x7E, body, id: id)
  }
}

extension [UInt8] {
  /// Adds the `bytes` low bytes of a number, lowest first.
  mutating func append(number: UInt64, bytes: Int) {
    for place in 0..<bytes { append(UInt8(truncatingIfNeeded: number >> (8 * UInt64(place)))) }
  }

  /// The number in `bytes` bytes from `place` on, lowest first.
  func number(at place: Int, bytes: Int) -> UInt64 {
    (0..<bytes).reduce(0) { $0 | UInt64(self[place + $1]) << (8 * UInt64($1)) }
  }
}
