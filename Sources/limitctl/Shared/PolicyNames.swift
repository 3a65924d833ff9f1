// Names for completion. Commands that ask the daemon are completed by it, which knows what is set at run
// time too; commands about a file, and all where it may not be asked, by the policy file at hand: the
// one of --config, else LIMITD_CONFIG, else the daemon's own. What cannot be read completes nothing.

import ArgumentParser
import Glibc
import LimitAdminModel
import LimitPolicy

extension CompletionKind {
  /// The names of an argument, by what the line says so far.
  static var tenants: CompletionKind {
    .custom { arguments, _, prefix in PolicyNames.tenants(for: arguments, prefix: prefix) }
  }
  static var policies: CompletionKind {
    .custom { arguments, _, _ in PolicyNames.policies(for: arguments) }
  }
  static var limits: CompletionKind {
    .custom { arguments, _, _ in PolicyNames.limits(for: arguments) }
  }
}

/// What a shell may complete.
enum PolicyNames {
  /// Names that the daemon is asked for at once.
  private static let most = 1000
  /// How long it may be silent, in seconds: somebody waits for a key to do something.
  private static let patienceSeconds = 2

  /// - Parameter arguments: the command line so far.
  static func policies(for arguments: [String]) -> [String] {
    if let limits = limits(ofDaemonFor: arguments) {
      return Set(limits.flatMap(\.policies)).sorted()
    }
    return file(arguments)?.policyNames ?? []
  }

  static func limits(for arguments: [String]) -> [String] {
    limits(ofDaemonFor: arguments)?.map(\.limit) ?? file(arguments)?.limitNames ?? []
  }

  /// Those that have a name in the rules.
  ///
  /// - Parameter prefix: the word that is being written.
  static func tenants(for arguments: [String], prefix: String) -> [String] {
    let search = AdminClient.escaped(prefix)
    let page = ask(arguments, TenantPage.self, "/v1/tenants?limit=\(most)&search=\(search)")
    let names = page?.tenants.map(\.tenant) ?? file(arguments)?.tenantNames ?? []
    return names.filter { $0.hasPrefix(prefix) }
  }

  // MARK: The daemon

  private static func limits(ofDaemonFor arguments: [String]) -> [LimitSummary]? {
    ask(arguments, LimitList.self, "/v1/limits")?.limits
  }

  /// What the daemon of a command line answers; `nil` where that is about a file, or there is no answer.
  private static func ask<Value: Decodable>(
    _ arguments: [String], _ type: Value.Type, _ target: String
  ) -> Value? {
    guard !isAboutFile(arguments) else { return nil }
    let path = AdminEndpointOptions.path(
      adminSocket: value(of: "--admin-socket", arguments), socket: value(of: "--socket", arguments))
    return try? AdminClient(path: path, timeoutSeconds: patienceSeconds).get(type, target).value
  }

  private static func isAboutFile(_ arguments: [String]) -> Bool {
    value(of: "--config", arguments) != nil || arguments.contains("replay")
      || explainedFile(arguments) != nil
  }

  // MARK: Files

  private static func file(_ arguments: [String]) -> PolicyFile? {
    let path =
      value(of: "--config", arguments) ?? explainedFile(arguments)
      ?? getenv("LIMITD_CONFIG").map { String(cString: $0) } ?? "/etc/limitd/limitd.yaml"
    return try? PolicyFile.load(path: path)
  }

  /// `config explain FILE TENANT POLICY` names its file without an option.
  private static func explainedFile(_ arguments: [String]) -> String? {
    guard let place = arguments.firstIndex(of: "explain"), place > 0,
      arguments[place - 1] == "config"
    else { return nil }
    return arguments[(place + 1)...].first { !$0.hasPrefix("-") && !$0.isEmpty }
  }

  /// What `option` is given on a command line.
  private static func value(of option: String, _ arguments: [String]) -> String? {
    for (place, argument) in arguments.enumerated() {
      if argument == option, place + 1 < arguments.count { return arguments[place + 1] }
      if argument.hasPrefix("\(option)=") { return String(argument.dropFirst(option.count + 1)) }
    }
    return nil
  }
}
