// The catalog: what is stored is what comes back, over every migration, and nothing that is damaged,
// foreign or of a later release stops anybody.

import Foundation
import GRDB
import LimitEngine
import LimitPolicy
import TestSupport
import Testing

@testable import LimitCatalog

extension TemporaryFolder {
  var catalogPath: String { "\(path)/catalog.sqlite" }

  func open() throws -> Catalog { try #require(Catalog.open(in: path).catalog) }

  /// Another program's connection to the same file.
  func database() throws -> DatabaseQueue { try DatabaseQueue(path: catalogPath) }
}

extension Catalog {
  /// Makes a change of what is stored.
  func make(_ change: OverlayChange, at now: UInt64 = 1, by name: String = "root") throws {
    var overlay = try overlay()
    let differences = overlay.apply(change)
    try store(
      differences, of: overlay, by: .init(userID: 0, processID: 7, name: name), as: change.name,
      at: now)
  }
}

@Suite struct CatalogTests {
  private static let setting = Overlay.Setting(limit: "burst", parameter: "rate", value: "5/s")

  @Test("What is stored comes back after another start")
  func storesAndReads() throws {
    let folder = try TemporaryFolder()
    let changes: [OverlayChange] = [
      .edit(
        tenant: "acme", plan: "pro", [.init(limit: "burst", parameter: "rate", value: "5/s")]),
      .block(tenant: "acme", .init(reason: "unpaid \"bill\"; é", until: 1_800_000_000)),
      .block(tenant: "é", .init(reason: "a")), .block(tenant: "e\u{301}", .init(reason: "b")),
      .mode(limit: "burst", .shadow), .mode(limit: "tokens", .enforce),
      .replace([
        ("x", .init(settings: [Self.setting, .init(limit: "a", parameter: "soft", value: "1%")])),
        ("y", .init(plan: "free")),
      ]), .mode(limit: "tokens", nil), .unblock(tenant: "e\u{301}"),
    ]
    var expected = Overlay()
    let catalog = try folder.open()
    for change in changes {
      try catalog.make(change)
      _ = expected.apply(change)
      #expect(try catalog.overlay() == expected)
    }
    #expect(expected.tenantCount == 4)
    let again = Catalog.open(in: folder.path)
    #expect(again.overlay == expected && again.refused == nil)
    for name in ["acme", "é", "x", "y"] { try catalog.make(.replace([(name, .init())])) }
    try catalog.make(.mode(limit: "burst", nil))
    #expect(try catalog.overlay() == Overlay())
    for table in ["tenant", "setting", "limit_mode"] {
      let rows = try folder.database().read {
        try Int.fetchOne($0, sql: "SELECT count(*) FROM \(table)")
      }
      #expect(rows == 0, "\(table)")
    }
  }

  @Test("A change and its record are one transaction, on the disk when the call returns")
  func isDurable() throws {
    let folder = try TemporaryFolder()
    let catalog = try folder.open()
    try catalog.make(.mode(limit: "burst", .shadow))
    try folder.database().write {
      try $0.execute(
        sql: """
          CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'no room'); END
          """)
    }
    #expect(throws: CatalogError.self) { try catalog.make(.mode(limit: "burst", nil)) }
    #expect(throws: CatalogError.self) {
      try catalog.record(.init(at: 1, author: .init(name: "x"), action: "reload"))
    }
    #expect(try catalog.overlay().modes == ["burst": .shadow])
    #expect(try catalog.audit(atMost: 9).count == 1)
    // The copy that a power cut at this moment would leave: the log is there, and nothing is merged.
    let copy = try TemporaryFolder()
    for suffix in ["", "-wal"] {
      try FileManager.default.copyItem(
        atPath: folder.catalogPath + suffix, toPath: copy.catalogPath + suffix)
    }
    #expect(Catalog.open(in: copy.path).overlay.modes == ["burst": .shadow])
    #expect(try catalog.setting("synchronous") == 2, "FULL")
    for suffix in ["", "-wal"] {
      let attributes = try FileManager.default.attributesOfItem(atPath: folder.catalogPath + suffix)
      #expect(attributes[.posixPermissions] as? Int == 0o600)
    }
  }

  @Test("Every table that has a tenant finds it by a key or an index")
  func indices() throws {
    let folder = try TemporaryFolder()
    _ = try folder.open()
    try folder.database().read { database in
      let tables = try String.fetchAll(
        database, sql: "SELECT name FROM sqlite_master WHERE type = 'table'")
      var count = 0
      for table in tables
      where try database.columns(in: table).contains(where: { $0.name == "tenant_id" }) {
        count += 1
        let rows = try Row.fetchAll(
          database, sql: "EXPLAIN QUERY PLAN SELECT * FROM \(table) WHERE tenant_id = 'a'")
        #expect(
          rows.allSatisfy { ($0["detail"] as String).contains("SEARCH") }, "\(table): \(rows)")
      }
      #expect(count == 3)
    }
  }

  // MARK: The record

  @Test("The record says who did what, from what to what, page by page")
  func audit() throws {
    let folder = try TemporaryFolder()
    let catalog = try folder.open()
    for number in 1...25 as ClosedRange<UInt64> {
      try catalog.make(
        .block(tenant: number.isMultiple(of: 5) ? "five" : "other", .init(reason: "\(number)")),
        at: number)
    }
    try catalog.record(
      .init(at: 26, author: .init(name: "signal"), action: "reload", from: "a", to: "b"))
    let newest = try catalog.audit(atMost: 2)
    #expect(newest.map(\.action) == ["reload", "tenant block"])
    #expect(newest[0].author == .init(name: "signal") && newest[0].tenant == nil)
    #expect(newest[1].author == .init(userID: 0, processID: 7, name: "root"))
    #expect(newest[1].tenant == "five" && newest[1].at == 25)
    #expect(newest[1].from == "blocked: 20" && newest[1].to == "blocked: 25")
    let older = try catalog.audit(before: newest[1].number, atMost: 100)
    #expect(older.map(\.at) == Array((1...24).reversed()))
    #expect(try catalog.audit(tenant: "five", atMost: 3).map(\.at) == [25, 20, 15])
    #expect(try catalog.audit(tenant: "five", before: 15, atMost: 3).map(\.at) == [10, 5])
    #expect(try catalog.audit(tenant: "nobody", atMost: 3) == [])
  }

  @Test("The record keeps the newest entries, and no number comes back")
  func trims() throws {
    let folder = try TemporaryFolder()
    let catalog = try folder.open()
    try folder.database().write { database in
      for number in 1...30 {
        var entry = AuditEntry(at: UInt64(number), author: .init(name: "x"), action: "a")
        entry.tenant = "t"
        try entry.insert(in: database)
      }
      try AuditEntry.trim(to: 10, in: database)
    }
    #expect(try catalog.audit(atMost: 100).map(\.number) == Array((21...30).reversed()))
    try folder.database().write { try AuditEntry.trim(to: 0, in: $0) }
    try catalog.record(.init(at: 1, author: .init(name: "x"), action: "a"))
    #expect(try catalog.audit(atMost: 100).map(\.number) == [31])
  }

  // MARK: Other catalogs

  @Test("A catalog of each earlier version keeps what it has", arguments: ["0", "1", "2"])
  func migrations(version: String) throws {
    let folder = try TemporaryFolder()
    if version == "0" {
      try Data().write(to: URL(filePath: folder.catalogPath))
    } else {
      let database = try folder.database()
      try CatalogSchema.migrator.migrate(database, upTo: version)
      // As that version wrote it, and not as the code of today would.
      try database.write {
        try $0.execute(
          sql: """
            INSERT INTO tenant VALUES ('acme', 'pro', 'unpaid', 1800000000);
            INSERT INTO setting VALUES ('acme', 'burst', 'rate', '5/s');
            INSERT INTO limit_mode VALUES ('burst', 'shadow');
            """)
      }
      try database.close()
    }
    let opening = Catalog.open(in: folder.path)
    #expect(opening.refused == nil && opening.trouble == nil)
    var expected = Overlay()
    if version != "0" {
      _ = expected.apply(
        .replace([
          (
            "acme",
            .init(
              plan: "pro", settings: [Self.setting],
              block: .init(reason: "unpaid", until: 1_800_000_000))
          )
        ]))
      expected.modes = ["burst": .shadow]
    }
    #expect(opening.overlay == expected)
    let catalog = try #require(opening.catalog)
    try catalog.make(.block(tenant: "new", .init(reason: "r")))
    #expect(try catalog.audit(tenant: "new", atMost: 9).count == 1)
  }

  @Test("A catalog of a later release, of another program, or none at all is put aside")
  func refused() throws {
    let spoil: [(String, (TemporaryFolder) throws -> Void)] = [
      (
        "later release",
        { folder in
          try Catalog.open(in: folder.path).catalog?.make(.mode(limit: "burst", .shadow))
          try folder.database().write {
            try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('999')")
          }
        }
      ),
      (
        "no catalog",
        { try $0.database().write { try $0.execute(sql: "CREATE TABLE other (x)") } }
      ),
      (
        "not a database",
        { try Data(repeating: 0x41, count: 9000).write(to: URL(filePath: $0.catalogPath)) }
      ),
    ]
    for (why, spoil) in spoil {
      let folder = try TemporaryFolder()
      try spoil(folder)
      let before = try Data(contentsOf: URL(filePath: folder.catalogPath))
      let opening = Catalog.open(in: folder.path)
      #expect(opening.refused?.why.contains(why) == true, "\(opening)")
      #expect(opening.overlay == Overlay())
      let kept = try #require(opening.refused?.keptAs)
      if why == "later release" {
        // Its log may be merged by now; it has what it had.
        let modes = try DatabaseQueue(path: kept).read {
          try Int.fetchOne($0, sql: "SELECT count(*) FROM limit_mode")
        }
        #expect(modes == 1)
      } else {
        #expect(try Data(contentsOf: URL(filePath: kept)) == before)
      }
      try #require(opening.catalog).make(.mode(limit: "burst", .enforce))
      #expect(Catalog.open(in: folder.path).overlay.modes == ["burst": .enforce])
    }
  }

  @Test("Whatever byte of a catalog is damaged, it opens or is put aside")
  func damaged() throws {
    let folder = try TemporaryFolder()
    let catalog = try folder.open()
    for number in 1...40 {
      try catalog.make(
        .block(tenant: "tenant-\(number)", .init(reason: String(repeating: "x", count: 90))))
    }
    try folder.database().writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
    let whole = try Data(contentsOf: URL(filePath: folder.catalogPath))
    var refusals = 0
    for place in stride(from: 0, to: whole.count, by: 331) {
      let other = try TemporaryFolder()
      var bytes = whole
      bytes[place] ^= 0xFF
      try bytes.write(to: URL(filePath: other.catalogPath))
      let opening = Catalog.open(in: other.path)
      refusals += opening.refused == nil ? 0 : 1
      #expect(opening.catalog != nil, "byte \(place): \(opening.trouble ?? "")")
    }
    #expect(refusals > 5)
    for count in stride(from: 1, to: whole.count, by: 4096) {
      let other = try TemporaryFolder()
      try whole.prefix(count).write(to: URL(filePath: other.catalogPath))
      #expect(Catalog.open(in: other.path).catalog != nil)
    }
  }

  @Test("A catalog that is gone is told from one that never was")
  func missing() throws {
    let folder = try TemporaryFolder()
    #expect(!Catalog.open(in: folder.path).isMissing)
    #expect(!Catalog.open(in: folder.path).isMissing)
    for suffix in ["", "-wal", "-shm"] { unlink(folder.catalogPath + suffix) }
    let opening = Catalog.open(in: folder.path)
    #expect(opening.isMissing && opening.catalog != nil && opening.overlay == Overlay())
    #expect(!Catalog.open(in: folder.path).isMissing)
  }

  @Test("Where there can be no catalog, that is said, and nothing is put aside")
  func noRoom() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.createDirectory(
      atPath: folder.catalogPath, withIntermediateDirectories: false)
    let opening = Catalog.open(in: folder.path)
    #expect(opening.catalog == nil && opening.trouble != nil && opening.refused == nil)
    #expect(Catalog.open(in: "\(folder.path)/none").catalog == nil)
  }
}

extension Catalog {
  /// A setting of the connection that changes are made by.
  fileprivate func setting(_ name: String) throws -> Int? {
    try database.read { try Int.fetchOne($0, sql: "PRAGMA \(name)") }
  }
}
