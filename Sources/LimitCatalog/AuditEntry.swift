// The record of what administrators changed: who, when, what, from, to. Values; any thread.

import GRDB

/// Who changed something.
package struct AuditAuthor: Hashable, Sendable {
  /// `nil`: no user asked for it, but time, or a signal.
  package var userID: UInt32?
  package var processID: Int32?
  /// The user's name on this host then, or what it was that changed something.
  package var name: String

  package init(userID: UInt32? = nil, processID: Int32? = nil, name: String) {
    self.userID = userID
    self.processID = processID
    self.name = name
  }
}

/// One change.
package struct AuditEntry: Hashable, Sendable {
  /// Counts up; 0 before it is recorded.
  package var number: Int64 = 0
  /// In seconds since 1970.
  package var at: UInt64
  package var author: AuditAuthor
  package var action: String
  package var tenant: String?
  package var limit: String?
  /// On one line; `nil`: there was nothing.
  package var from: String?
  package var to: String?

  package init(
    at: UInt64, author: AuditAuthor, action: String, tenant: String? = nil, limit: String? = nil,
    from: String? = nil, to: String? = nil
  ) {
    self.at = at
    self.author = author
    self.action = action
    self.tenant = tenant
    self.limit = limit
    self.from = from
    self.to = to
  }

  init(_ row: Row) {
    number = row["number"]
    at = UInt64(max(0, row["at"] as Int64))
    author = AuditAuthor(
      userID: (row["user_id"] as Int64?).flatMap { UInt32(exactly: $0) },
      processID: (row["process_id"] as Int64?).flatMap { Int32(exactly: $0) }, name: row["author"])
    action = row["action"]
    let tenant: String = row["tenant_id"]
    self.tenant = tenant.isEmpty ? nil : tenant
    limit = row["limit_name"]
    from = row["before"]
    to = row["after"]
  }

  func insert(in database: Database) throws {
    let statement = try database.cachedStatement(
      sql: """
        INSERT INTO audit (at, user_id, process_id, author, action, tenant_id, limit_name, before, after)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        """)
    try statement.execute(arguments: [
      Int64(clamping: at), author.userID.map { Int64($0) }, author.processID.map { Int64($0) },
      author.name, action, tenant ?? "", limit, from, to,
    ])
  }

  /// Removes the oldest.
  static func trim(to most: Int, in database: Database) throws {
    try database.execute(
      sql: "DELETE FROM audit WHERE number <= (SELECT max(number) FROM audit) - ?",
      arguments: [most])
  }

  static func fetch(tenant: String?, before: Int64?, atMost most: Int, in database: Database) throws
    -> [AuditEntry]
  {
    let rows = try Row.fetchAll(
      database,
      sql: """
        SELECT * FROM audit WHERE \(tenant == nil ? "?1 IS NULL" : "tenant_id = ?1") AND number < ?2
        ORDER BY number DESC LIMIT ?3
        """,
      arguments: [tenant, before ?? .max, most])
    return rows.map { AuditEntry($0) }
  }
}
