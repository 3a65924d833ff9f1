// What administrators set at run time, and the record of it, in a SQLite database of the state
// directory. A change and its record are one transaction, on the disk when the call returns. Any thread;
// calls follow one another.

import GRDB
package import LimitPolicy

/// Why the catalog does not do what it was asked.
package struct CatalogError: Error, Hashable, Sendable, CustomStringConvertible {
  package let description: String

  init(_ description: String) { self.description = description }

  init(_ error: any Error) {
    if let error = error as? DatabaseError {
      description =
        "\(error.message ?? "SQLite fails") (SQLite \(error.extendedResultCode.rawValue))"
    } else {
      description = "\(error)"
    }
  }
}

/// `STATE_DIR/catalog.sqlite`.
package final class Catalog: Sendable {
  /// Entries of the record that are kept: the newest.
  package static let auditMax = 100_000

  package let path: String
  let database: DatabaseQueue

  init(_ database: DatabaseQueue, path: String) {
    self.database = database
    self.path = path
  }

  // MARK: What is set

  /// All that is set.
  package func overlay() throws(CatalogError) -> Overlay {
    try access { database in try Self.overlay(in: database) }
  }

  static func overlay(in database: Database) throws -> Overlay {
    var overlay = Overlay()
    let rows = try Row.fetchCursor(
      database, sql: "SELECT tenant_id, plan, block_reason, block_until FROM tenant")
    while let row = try rows.next() {
      let block = (row["block_reason"] as String?).map {
        Overlay.Block(reason: $0, until: (row["block_until"] as Int64?).map { UInt64(max(0, $0)) })
      }
      overlay[tenant: row["tenant_id"]] = Overlay.Tenant(plan: row["plan"], block: block)
    }
    let settings = try Row.fetchCursor(
      database,
      sql: "SELECT tenant_id, limit_name, parameter, value FROM setting ORDER BY tenant_id")
    var (name, tenant) = ("", Overlay.Tenant())
    while let row = try settings.next() {
      let next: String = row["tenant_id"]
      if !next.utf8.elementsEqual(name.utf8) {
        if !name.isEmpty { overlay[tenant: name] = tenant }
        (name, tenant) = (next, overlay[tenant: next] ?? Overlay.Tenant())
      }
      tenant.set(
        .init(limit: row["limit_name"], parameter: row["parameter"], value: row["value"]))
    }
    if !name.isEmpty { overlay[tenant: name] = tenant }
    let modes = try Row.fetchCursor(database, sql: "SELECT limit_name, mode FROM limit_mode")
    while let row = try modes.next() {
      overlay.modes[row["limit_name"]] = .init(named: row["mode"])
    }
    return overlay
  }

  /// Makes what is set for these subjects what `overlay` has for them, and records it. All of it or
  /// nothing; when this returns, it outlasts the power.
  package func store(
    _ differences: [OverlayDifference], of overlay: Overlay, by author: AuditAuthor,
    as action: String,
    at now: UInt64
  ) throws(CatalogError) {
    try change { database in
      for difference in differences {
        var entry = AuditEntry(
          at: now, author: author, action: action, from: difference.before, to: difference.after)
        switch difference.subject {
        case .tenant(let name):
          try Self.store(overlay[tenant: name], of: name, in: database)
          entry.tenant = name
        case .limit(let name):
          try Self.store(overlay.modes[name]?.name, ofLimit: name, in: database)
          entry.limit = name
        }
        try entry.insert(in: database)
      }
      try AuditEntry.trim(to: Self.auditMax, in: database)
    }
  }

  private static func store(_ tenant: Overlay.Tenant?, of name: String, in database: Database)
    throws
  {
    try database.cachedStatement(sql: "DELETE FROM tenant WHERE tenant_id = ?")
      .execute(arguments: [name])
    try database.cachedStatement(sql: "DELETE FROM setting WHERE tenant_id = ?")
      .execute(arguments: [name])
    guard let tenant else { return }
    try database.cachedStatement(sql: "INSERT INTO tenant VALUES (?, ?, ?, ?)").execute(
      arguments: [
        name, tenant.plan, tenant.block?.reason, tenant.block?.until.map { Int64($0) },
      ])
    for setting in tenant.settings {
      try database.cachedStatement(sql: "INSERT INTO setting VALUES (?, ?, ?, ?)").execute(
        arguments: [name, setting.limit, setting.parameter, setting.value])
    }
  }

  private static func store(_ mode: String?, ofLimit name: String, in database: Database) throws {
    if let mode {
      try database.execute(
        sql: "INSERT OR REPLACE INTO limit_mode VALUES (?, ?)", arguments: [name, mode])
    } else {
      try database.execute(sql: "DELETE FROM limit_mode WHERE limit_name = ?", arguments: [name])
    }
  }

  // MARK: The record

  /// Records what was done and is not kept here.
  package func record(_ entry: AuditEntry) throws(CatalogError) {
    try change { database in
      try entry.insert(in: database)
      try AuditEntry.trim(to: Self.auditMax, in: database)
    }
  }

  /// Entries of the record, the newest first.
  ///
  /// - Parameters:
  ///   - tenant: only those about this one.
  ///   - before: only those with a lower number.
  package func audit(tenant: String? = nil, before: Int64? = nil, atMost most: Int)
    throws(CatalogError) -> [AuditEntry]
  {
    try access { try AuditEntry.fetch(tenant: tenant, before: before, atMost: most, in: $0) }
  }

  // MARK: Access

  private func access<Value>(_ body: (Database) throws -> Value) throws(CatalogError) -> Value {
    do { return try database.read(body) } catch { throw CatalogError(error) }
  }

  private func change(_ body: (Database) throws -> Void) throws(CatalogError) {
    do { try database.write(body) } catch { throw CatalogError(error) }
  }
}
