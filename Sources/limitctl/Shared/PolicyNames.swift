// Names for completion: the policies and tenants of the policy file at hand, which is the one of
// --config, else LIMITD_CONFIG, else the daemon's own. A file that cannot be read completes nothing.

import Glibc
import LimitPolicy

/// What a shell may complete.
enum PolicyNames {
  /// - Parameter arguments: the command line so far.
  static func policies(for arguments: [String]) -> [String] {
    file(arguments)?.policyNames ?? []
  }

  /// Those that the file names.
  static func tenants(for arguments: [String]) -> [String] {
    file(arguments)?.tenantNames ?? []
  }

  private static func file(_ arguments: [String]) -> PolicyFile? {
    var path = getenv("LIMITD_CONFIG").map { String(cString: $0) } ?? "/etc/limitd/limitd.yaml"
    for (place, argument) in arguments.enumerated() {
      if argument == "--config", place + 1 < arguments.count { path = arguments[place + 1] }
      if argument.hasPrefix("--config=") { path = String(argument.dropFirst(9)) }
    }
    // `config explain FILE TENANT POLICY` names its file without an option.
    if let place = arguments.firstIndex(of: "explain"), place + 1 < arguments.count {
      let named = arguments[(place + 1)...].first { !$0.hasPrefix("-") && !$0.isEmpty }
      path = named ?? path
    }
    return try? PolicyFile.load(path: path)
  }
}
