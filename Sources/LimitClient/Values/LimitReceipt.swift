// What a decision took, so that it can be settled. A value: any thread may use it.

internal import LimitProtocol

/// What a decision took: hand it to `settle` or `refund`, once.
///
/// Holds the tenant, the policy and the key, and so outlives the connection that the decision came
/// by. Making one allocates only where its key, given as bytes, is longer than 32.
public struct LimitReceipt: Sendable, Hashable {
  /// What was asked.
  public let query: LimitQuery
  let wire: WireReceipt

  /// Whether there is nothing to settle: a denial, a peek, a daemon that was away. Settling such a
  /// receipt does nothing and asks nobody.
  public var isEmpty: Bool { wire.charged == 0 }

  /// Of a decision that took nothing.
  public static let nothing = LimitReceipt(
    query: LimitQuery(tenant: "", policy: "", key: "", cost: 0), wire: .nothing)

  init(query: LimitQuery, wire: WireReceipt) {
    self.query = query
    self.wire = wire
  }
}

// Text, for command lines and logs.
extension LimitReceipt {
  private static let digits = Array("0123456789abcdef".utf8)

  /// The receipt in hexadecimal digits; `init(text:)` reads it.
  public var text: String {
    var bytes: [UInt8] = []
    func append(_ number: some FixedWidthInteger) {
      withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }
    append(wire.tag)
    append(wire.decidedAt)
    append(wire.charged)
    append(wire.shadow)
    append(wire.escalated)
    append(wire.mac)
    append(query.cost)
    append(UInt8(query.tenant.utf8.count))
    append(UInt8(query.policy.utf8.count))
    bytes.append(contentsOf: query.tenant.utf8)
    bytes.append(contentsOf: query.policy.utf8)
    query.key.withBytes { bytes.append(contentsOf: $0) }
    return String(
      decoding: bytes.flatMap { [Self.digits[Int($0 >> 4)], Self.digits[Int($0 & 15)]] },
      as: UTF8.self)
  }

  /// Reads what `text` wrote. Nil for anything else.
  public init?(text: String) {
    let digits = Array(text.utf8).map { digit in Self.digits.firstIndex(of: digit) }
    guard digits.count.isMultiple(of: 2), !digits.contains(nil) else { return nil }
    let bytes = stride(from: 0, to: digits.count, by: 2).map {
      UInt8(digits[$0]! << 4 | digits[$0 + 1]!)
    }
    let receipt = bytes.withBytes { bytes -> LimitReceipt? in
      var reader = WireReader(bytes)
      guard let wire = WireReceipt(&reader), let cost = reader.read(UInt64.self),
        cost <= QueryRequest.costMax, let tenantLength = reader.read(UInt8.self),
        let policyLength = reader.read(UInt8.self),
        let tenant = reader.readBytes(Int(tenantLength)).flatMap(Self.name),
        let policy = reader.readBytes(Int(policyLength)).flatMap(Self.name)
      else { return nil }
      let query = LimitQuery(
        tenant: tenant, policy: policy, key: LimitKey(reader.readRest()), cost: cost)
      return LimitReceipt(query: query, wire: wire)
    }
    guard let receipt, receipt == .nothing || (try? receipt.query.validate()) != nil else {
      return nil
    }
    self = receipt
  }

  private static func name(_ bytes: UnsafeRawBufferPointer) -> String? {
    String(validating: bytes, as: UTF8.self)
  }
}
