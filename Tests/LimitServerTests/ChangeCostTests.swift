// What a change of one tenant costs does not grow with the tenants that the policy file names: counted in
// bytes that are allocated, since time is not repeatable.

import CAllocationCounter
import LimitEngine
import LimitPolicy
import LimitRuntime
import Testing

@Suite(.enabled(if: limitd_allocations_of_this_thread() >= 0, "a sanitizer owns malloc"))
struct ChangeCostTests {
  /// A file that names so many tenants, each with settings of its own.
  private static func file(tenants count: Int) throws -> PolicyFile {
    let names = (0..<count).map {
      "  tenant-\($0): {plan: pro, limits: {burst: {burst: \(300 + $0)}}}"
    }
    let text = """
      limits:
        burst: {algorithm: token-bucket, rate: 100/s, burst: 200, scope: tenant}
        tokens: {algorithm: sliding-window, limit: 1000, window: 1m, scope: key, unit: tokens}
      policies: {some: [burst], chat: [burst, tokens]}
      plans: {pro: {burst: {rate: 1000/s}}}
      tenants:
      \(names.joined(separator: "\n"))
        "*": {}
      """
    return try PolicyFile.parse(Array(text.utf8), path: "p.yaml")
  }

  /// The most bytes that one of a dozen changes asks for, from what is set to what is in force; from the
  /// third on, what is made ready for the next one is counted, too: by then two sets' tables are there.
  private static func bytes(among count: Int) throws -> Int64 {
    let base = try file(tenants: count)
    var tables = Engine.Configuration()
    (tables.keySlots, tables.tenantSlots, tables.tenantsMax) = (1 << 12, 1 << 16, 1 << 16)
    let runtime = Runtime(
      Engine(tables), try Rulebook(base, hashKey: HashKey(low: 1, high: 2)))
    var (overlay, inForce, most) = (Overlay(), base, Int64(0))
    for number in 0..<12 {
      // Of tenants that the file names, of others, and of one again.
      let name = number.isMultiple(of: 4) ? "other" : "tenant-\(number * 7)"
      let change = OverlayChange.edit(
        tenant: name, plan: nil,
        [.init(limit: "burst", parameter: "burst", value: "\(number + 9)")])
      _ = overlay.apply(change)
      // While a mode is set, and as it is set and is not any more.
      _ = overlay.apply(.mode(limit: "tokens", number % 6 < 4 ? .shadow : nil))
      var bytes: Int64 = 0
      let start = limitd_allocated_bytes_of_this_thread()
      let laid = base.overlaid(by: overlay, changing: [name], in: inForce)
      runtime.adopt(
        overlaid: laid.file, changing: [name],
        isInForce: { _ in bytes = limitd_allocated_bytes_of_this_thread() - start })
      inForce = laid.file
      if number >= 2 { bytes = limitd_allocated_bytes_of_this_thread() - start }
      most = max(most, bytes)
      let tenant = runtime.rulebook.policies.tenant(named: name)
      #expect(tenant.isNamed && bytes > 0, "\(name)")
      let limits = try #require(laid.file.explain(tenant: "tenant-1", policy: "chat")).limits
      #expect((limits[1].mode == .shadow) == (number % 6 < 4))
    }
    return most
  }

  @Test("A change of one tenant allocates no more where sixteen times as many are named")
  func one() throws {
    let (few, many) = try (Self.bytes(among: 1_000), Self.bytes(among: 16_000))
    // A pointer for each page of 256 tenants is all that may grow.
    #expect(many < few + 4_096, "\(few) bytes among 1,000, \(many) among 16,000")
  }
}
