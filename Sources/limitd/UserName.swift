// Users by name. Reads the host's user database, and so may take its time (getpwuid(3)).

import Glibc

enum UserName {
  /// - Returns: `nil` for a user that the database does not know.
  static func of(_ identifier: uid_t) -> String? {
    var entry = passwd()
    var found: UnsafeMutablePointer<passwd>?
    return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1 << 14) { text in
      guard getpwuid_r(identifier, &entry, text.baseAddress!, text.count, &found) == 0, found != nil
      else { return nil }
      return String(cString: entry.pw_name)
    }
  }

  /// Whom a directory is to belong to so that this process may use it: a name, else a number.
  static var own: String { of(geteuid()) ?? "\(geteuid())" }
}
