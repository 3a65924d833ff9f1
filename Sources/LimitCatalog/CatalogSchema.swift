// The catalog's tables, by numbered steps: each release adds steps, and changes none that it has shipped.
// Any thread.

import GRDB

enum CatalogSchema {
  /// Marks a database as limitd's (`PRAGMA application_id`): `LMTD`.
  static let applicationID: Int32 = 0x4C4D_5444

  static var migrator: DatabaseMigrator {
    var migrator = DatabaseMigrator()
    // What is set, by tenant and by limit.
    migrator.registerMigration("1") { database in
      try database.execute(
        sql: """
          CREATE TABLE tenant (
            tenant_id TEXT NOT NULL PRIMARY KEY,
            plan TEXT,
            block_reason TEXT,
            block_until INTEGER
          ) WITHOUT ROWID;
          CREATE TABLE setting (
            tenant_id TEXT NOT NULL,
            limit_name TEXT NOT NULL,
            parameter TEXT NOT NULL,
            value TEXT NOT NULL,
            PRIMARY KEY (tenant_id, limit_name, parameter)
          ) WITHOUT ROWID;
          CREATE TABLE limit_mode (
            limit_name TEXT NOT NULL PRIMARY KEY,
            mode TEXT NOT NULL
          ) WITHOUT ROWID;
          PRAGMA application_id = \(applicationID);
          """)
    }
    // Who changed what. `tenant_id` is empty where a change is not about one.
    migrator.registerMigration("2") { database in
      try database.execute(
        sql: """
          CREATE TABLE audit (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            at INTEGER NOT NULL,
            user_id INTEGER,
            process_id INTEGER,
            author TEXT NOT NULL,
            action TEXT NOT NULL,
            tenant_id TEXT NOT NULL,
            limit_name TEXT,
            before TEXT,
            after TEXT
          );
          CREATE INDEX audit_by_tenant ON audit (tenant_id, number);
          """)
    }
    return migrator
  }

  /// Refuses what is no catalog, is damaged, or is a later release's.
  static func check(_ database: Database) throws {
    if try migrator.hasBeenSuperseded(database) {
      throw CatalogError("it is from a later release")
    }
    let mark = try Int32.fetchOne(database, sql: "PRAGMA application_id")
    let tables = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") ?? 0
    guard mark == applicationID || tables == 0 else {
      throw CatalogError("it is no catalog of limitd's")
    }
    let found = try String.fetchOne(database, sql: "PRAGMA quick_check(1)") ?? "no answer"
    guard found == "ok" else { throw CatalogError("it is damaged: \(found)") }
  }
}
