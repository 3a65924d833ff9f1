// Opens the catalog, with the tables of this release. One that cannot be used is put aside, so that
// whoever starts has an empty one: the rules are then those of the policy file. One thread, at start.

import GRDB
import Glibc
package import LimitPolicy

/// What became of the catalog at a start.
package struct CatalogOpening: Sendable {
  /// `nil`: nothing can be set at run time.
  package var catalog: Catalog?
  package var overlay = Overlay()
  /// There had been one, and it is gone.
  package var isMissing = false
  /// Why the one that was there is not used, and where it is now.
  package var refused: (why: String, keptAs: String)?
  /// Why there is none.
  package var trouble: String?
}

extension Catalog {
  package static let fileName = "catalog.sqlite"
  /// A file that says that there has been a catalog.
  static let markName = "catalog.made"

  /// Opens the catalog of a state directory; makes one where there is none.
  package static func open(in directory: String) -> CatalogOpening {
    let path = "\(directory)/\(fileName)"
    var opening = CatalogOpening()
    do {
      opening.isMissing = access(path, F_OK) != 0 && access("\(directory)/\(markName)", F_OK) == 0
      let catalog = try Catalog(at: path)
      (opening.catalog, opening.overlay) = (catalog, try catalog.overlay())
      close(creat("\(directory)/\(markName)", 0o600))
      return opening
    } catch let error where isOfHost(error) {
      opening.trouble = CatalogError(error).description
      return opening
    } catch {
      opening.refused = (CatalogError(error).description, "\(path).refused")
    }
    do {
      try putAside(path)
      opening.catalog = try Catalog(at: path)
    } catch {
      opening.trouble = CatalogError(error).description
    }
    return opening
  }

  /// Whether the file itself may well be whole: it cannot be got at.
  private static func isOfHost(_ error: any Error) -> Bool {
    guard let error = error as? DatabaseError else { return false }
    switch error.resultCode {
    case .SQLITE_CANTOPEN, .SQLITE_BUSY, .SQLITE_LOCKED, .SQLITE_FULL, .SQLITE_IOERR, .SQLITE_NOMEM,
      .SQLITE_PERM, .SQLITE_READONLY, .SQLITE_AUTH:
      return true
    default: return false
    }
  }

  /// Renames a database, with the log that belongs to it.
  private static func putAside(_ path: String) throws(CatalogError) {
    for suffix in ["-wal", "-shm"] { unlink("\(path).refused\(suffix)") }
    guard rename(path, "\(path).refused") == 0 else {
      throw CatalogError("it cannot be put aside: \(String(cString: strerror(errno)))")
    }
    rename("\(path)-wal", "\(path).refused-wal")
    unlink("\(path)-shm")
  }

  /// How long another process may hold the database, in seconds.
  private static let patienceSeconds = 5.0

  private convenience init(at path: String) throws {
    var configuration = Configuration()
    configuration.busyMode = .timeout(Self.patienceSeconds)
    configuration.prepareDatabase { database in
      // With a write-ahead log, FULL is what makes a transaction outlast the power (sqlite.org/pragma.html).
      try database.execute(sql: "PRAGMA synchronous = FULL")
      try database.execute(sql: "PRAGMA temp_store = MEMORY")
    }
    // Only its owner may read it; what SQLite makes beside it has the same mode.
    close(Glibc.open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600))
    let database = try DatabaseQueue(path: path, configuration: configuration)
    // Before anything is written: it may be another program's.
    try database.read { database in try CatalogSchema.check(database) }
    try database.writeWithoutTransaction { database in
      try database.execute(sql: "PRAGMA journal_mode = WAL")
    }
    try CatalogSchema.migrator.migrate(database)
    self.init(database, path: path)
  }
}
