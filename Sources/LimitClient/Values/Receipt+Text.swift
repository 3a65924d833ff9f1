// A receipt as text, for command lines and logs.

internal import LimitProtocol

extension Receipt {
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
    append(cost)
    append(UInt8(tenant.utf8.count))
    append(UInt8(policy.utf8.count))
    bytes.append(contentsOf: tenant.utf8)
    bytes.append(contentsOf: policy.utf8)
    key.withBytes { bytes.append(contentsOf: $0) }
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
    let receipt = bytes.withBytes { bytes -> Receipt? in
      var reader = WireReader(bytes)
      guard let tag = reader.read(UInt32.self), let decidedAt = reader.read(UInt64.self),
        let charged = reader.read(UInt16.self), let shadow = reader.read(UInt16.self),
        let escalated = reader.read(UInt32.self), let mac = reader.read(UInt64.self),
        let cost = reader.read(UInt64.self), cost <= QueryRequest.costMax,
        let tenantLength = reader.read(UInt8.self), let policyLength = reader.read(UInt8.self),
        let tenant = reader.readBytes(Int(tenantLength)).flatMap(Self.name),
        let policy = reader.readBytes(Int(policyLength)).flatMap(Self.name)
      else { return nil }
      return Receipt(
        tenant: tenant, policy: policy, key: StoredKey(copying: reader.readRest()), cost: cost,
        wire: WireReceipt(
          tag: tag, decidedAt: decidedAt, charged: charged, shadow: shadow, escalated: escalated,
          mac: mac))
    }
    guard let receipt, (try? Bounds.check(tenant: receipt.tenant, policy: receipt.policy)) != nil
    else { return nil }
    self = receipt
  }

  private static func name(_ bytes: UnsafeRawBufferPointer) -> String? {
    String(validating: bytes, as: UTF8.self)
  }
}
