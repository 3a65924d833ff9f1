// What holds for every command, over the program's own list of them: one that is added fails here until
// CommandCase.all knows it.

import DaemonSupport
import Foundation
import Glibc
import LimitConsole
import Testing

/// A command, and how tests run it.
private struct CommandCase {
  enum Kind {
    /// Needs no daemon.
    case alone
    /// Asks the decision socket.
    case decides
    /// Asks the admin socket, and reads.
    case observes
    /// Asks the admin socket, and changes something.
    case administers
  }

  let name: String
  let kind: Kind
  /// Behind the name; `{…}` is filled in by `CommandHost.fill`.
  let arguments: [String]
  let exitCode: Int32
  /// Whether its JSON is a document on each line.
  let hasLines: Bool

  init(
    _ name: String, _ kind: Kind, _ arguments: [String] = [], exitCode: Int32 = 0,
    hasLines: Bool = false
  ) {
    self.name = name
    self.kind = kind
    self.arguments = arguments
    self.exitCode = exitCode
    self.hasLines = hasLines
  }

  /// Its line, with options in front of the arguments.
  func words(_ options: [String]) -> [String] {
    name.split(separator: " ").map(String.init) + options + arguments
  }

  /// In an order in which every change changes something.
  static let all = [
    CommandCase("check", .decides, ["acme", "many"]),
    CommandCase("peek", .decides, ["acme", "many"]),
    CommandCase("settle", .decides, ["{receipt}", "0"]),
    CommandCase("refund", .decides, ["{receipt}"]),
    // Only a denial is told; else the output is that of the command.
    CommandCase("hold", .decides, ["banned", "held", "--", "true"], exitCode: 2),
    CommandCase("ping", .decides), CommandCase("version", .decides),
    CommandCase("bench", .decides, ["--policy", "many", "--requests", "100"]),
    CommandCase(
      "replay", .alone, ["--config", "examples/policy.yaml", "examples/sample-trace.csv"]),
    CommandCase("config check", .alone, ["examples/policy.yaml"]),
    CommandCase("config explain", .alone, ["examples/policy.yaml", "acme", "gateway"]),
    CommandCase("snapshot save", .administers),
    CommandCase("snapshot list", .alone, ["--state-dir", "{state}"]),
    CommandCase("snapshot info", .alone, ["{snapshot}"]),
    CommandCase("snapshot verify", .alone, ["{snapshot}"]),
    CommandCase("status", .observes), CommandCase("doctor", .observes),
    CommandCase("tenant list", .observes), CommandCase("tenant show", .observes, ["acme"]),
    CommandCase("limit list", .observes), CommandCase("limit show", .observes, ["few"]),
    CommandCase("explain", .observes, ["acme", "few"]), CommandCase("why", .observes, ["acme"]),
    CommandCase("top", .observes, ["-1"]), CommandCase("metrics", .observes),
    CommandCase("tenant reset", .administers, ["acme"]),
    CommandCase("tenant set", .administers, ["acme", "few.burst=7"]),
    CommandCase("tenant export", .observes, hasLines: true),
    CommandCase("tenant unset", .administers, ["acme"]),
    CommandCase("tenant block", .administers, ["acme", "--reason", "x"]),
    CommandCase("tenant unblock", .administers, ["acme"]),
    CommandCase("tenant import", .administers, ["{lines}"]),
    CommandCase("shadow on", .administers, ["few"]),
    CommandCase("shadow off", .administers, ["few"]),
    CommandCase("shadow unset", .administers, ["few"]), CommandCase("reload", .administers),
    CommandCase("events", .observes, hasLines: true), CommandCase("audit list", .observes),
    CommandCase("config show", .observes),
  ]

  /// Those without `--json`, and why.
  static let withoutJSON = [
    "metrics": "has the format of Prometheus; `status --json` has the figures of the daemon"
  ]

  /// Those that change something and have no `--dry-run`, and why.
  static let withoutDryRun = [
    "check": "peek says what it would come to", "hold": "peek says what it would come to",
    "settle": "the receipt says what there is to give back",
    "refund": "the receipt says what there is to give back",
    "bench": "measures by asking", "snapshot save": "the daemon does it all the time",
  ]

  static let asking = ["peek", "ping", "version"]

  /// What asking the decision socket needs; those that are not here need nothing.
  static let needs = [
    "check": "query", "peek": "query", "hold": "query", "bench": "query", "settle": "settle",
    "refund": "settle",
  ]

  var isChange: Bool {
    kind == .administers || kind == .decides && !Self.asking.contains(name)
  }
}

/// A daemon, the file that is to be reloaded, and what commands are given.
private struct CommandHost {
  let daemon: TestDaemon
  private let program: String

  /// - Parameters:
  ///   - role: of whoever is not root.
  ///   - others: his other roles.
  init(role: String = "observe", others: [String] = ["query", "settle"]) throws {
    let roles = (role == "none" ? others : others + [role]).joined(separator: ", ")
    daemon = try TestDaemon.forAdministrators {
      $0.settings = """
          socket: {mode: 666}
          admin-socket: {mode: 666}
          access:
            - {user: \(Host.otherUser), roles: [\(roles)]}
        """
    }
    _ = try daemon.peer().decide(Request.query("acme", "budget", cost: 400))
    try daemon.write(policy: DaemonOptions.defaultPolicy + "\n  late: {}")
    try #"{"tenant": "free", "block": {"reason": "x"}}"#.write(
      toFile: "\(daemon.folder)/lines", atomically: true, encoding: .utf8)
    // Where another user can reach it.
    program = "\(daemon.folder)/limitctl"
    try FileManager.default.copyItem(atPath: Program.limitctl, toPath: program)
  }

  func run(_ arguments: [String], user: UInt32? = nil) throws -> ProgramResult {
    let arguments = try arguments.map(fill)
    let environment = ["LIMITD_SOCKET": daemon.socketPath]
    guard let user else { return try Program.run(arguments, environment: environment) }
    let become = ["--reuid", "\(user)", "--regid", "\(user)", "--clear-groups", "--", program]
    return try Program.run(
      become + arguments, program: Program.installed("setpriv") ?? "setpriv",
      environment: environment)
  }

  func runOnTerminal(columns: Int, _ arguments: [String]) throws -> ProgramResult {
    try Program.onTerminal(
      columns: columns, arguments.map(fill),
      environment: ["LIMITD_SOCKET": daemon.socketPath, "NO_COLOR": "1"])
  }

  private func fill(_ argument: String) throws -> String {
    switch argument {
    case "{state}": return daemon.statePath
    case "{snapshot}": return "\(daemon.statePath)/snapshot.1"
    case "{lines}": return "\(daemon.folder)/lines"
    case "{receipt}":
      let check = try run(["check", "acme", "many", "--json"]).output
      let document = try JSONSerialization.jsonObject(with: Data(check.utf8)) as? [String: Any]
      return try #require(document?["receipt"] as? String, "\(check)")
    default: return argument
    }
  }

  /// What can be changed, and what is written down of changes.
  struct State: Equatable {
    var rules: [String]
    /// Of a limit of acme.
    var remaining: UInt64
    var audit: String
  }

  func state() throws -> State {
    func get(_ target: String) throws -> String { try daemon.ask("GET", target).text }
    return State(
      rules: try ["/v1/rules", "/v1/overrides"].map(get),
      remaining: try daemon.peer().decide(Request.query("acme", "budget", .peek)).remaining,
      audit: try get("/v1/audit"))
  }
}

@Suite struct EveryCommandTests {
  /// What the program itself says of its commands: their options by their names.
  private func optionsByCommand() throws -> [String: Set<String>] {
    let help = try Program.run(["--experimental-dump-help"]).output
    let root = try JSONSerialization.jsonObject(with: Data(help.utf8)) as? [String: Any]
    var found: [String: Set<String>] = [:]
    func walk(_ command: [String: Any], _ path: [String]) {
      let commands = (command["subcommands"] as? [[String: Any]] ?? []).filter {
        $0["commandName"] as? String != "help"
      }
      for next in commands { walk(next, path + [next["commandName"] as? String ?? ""]) }
      guard commands.isEmpty else { return }
      let arguments = command["arguments"] as? [[String: Any]] ?? []
      let names = arguments.flatMap { $0["names"] as? [[String: Any]] ?? [] }
      found[path.joined(separator: " ")] = Set(names.compactMap { $0["name"] as? String })
    }
    walk(try #require(root?["command"] as? [String: Any]), [])
    return found
  }

  @Test("Every command is tested here, takes --json, and --dry-run where it changes something")
  func options() throws {
    let options = try optionsByCommand()
    #expect(options.keys.sorted() == CommandCase.all.map(\.name).sorted())
    for command in CommandCase.all {
      let own = options[command.name] ?? []
      #expect(own.contains("json") == (CommandCase.withoutJSON[command.name] == nil), "\(command)")
      #expect(
        own.contains("dry-run")
          == (command.isChange && CommandCase.withoutDryRun[command.name] == nil), "\(command)")
      let isForAdmins = command.kind == .observes || command.kind == .administers
      #expect(own.contains("admin-socket") == isForAdmins, "\(command)")
    }
  }

  @Test("--json is one document, or one a line; --dry-run changes nothing, and without it all do")
  func jsonAndDryRun() throws {
    let host = try CommandHost()
    let options = try optionsByCommand()
    for command in CommandCase.all where options[command.name]?.contains("json") == true {
      let own = options[command.name] ?? []
      let yes = command.kind == .administers && own.contains("yes") ? ["--yes"] : []
      guard own.contains("dry-run") else {
        checkJSON(command, try host.run(command.words(["--json"] + yes)))
        continue
      }
      let before = try host.state()
      checkJSON(command, try host.run(command.words(["--json", "--dry-run"])))
      #expect(try host.state() == before, "\(command.name) --dry-run")
      checkJSON(command, try host.run(command.words(["--json"] + yes)))
      let after = try host.state()
      #expect(
        (after.rules, after.remaining) != (before.rules, before.remaining), "\(command.name)")
    }
  }

  @Test("What commands print fits the terminal", arguments: [80, 120])
  func width(columns: Int) throws {
    let host = try CommandHost()
    let options = try optionsByCommand()
    // Changes, so that there is something to list.
    for command in CommandCase.all where command.kind == .administers && command.name != "reload" {
      let yes = options[command.name]?.contains("yes") == true ? ["--yes"] : []
      #expect(try host.run(command.words(yes)).exitCode == 0, "\(command)")
    }
    // The text of others: Prometheus's, and a policy file's.
    for command in CommandCase.all where !["metrics", "config show"].contains(command.name) {
      let dryRun = options[command.name]?.contains("dry-run") == true ? ["--dry-run"] : []
      let result = try host.runOnTerminal(columns: columns, command.words(dryRun))
      #expect(result.exitCode == command.exitCode, "\(command): \(result)")
      if command.hasLines { continue }
      // What a progress bar drew and took away again is none of it.
      let text = result.output.replacing(/\r\u{1B}\[K[^\n\r]*\r\u{1B}\[K/, with: "")
      for line in text.split(separator: "\n") {
        // Paths and receipts are as long as they are.
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
          .filter { !$0.contains("/") && $0.count < 64 }
        #expect(displayWidth(words.joined(separator: " ")) <= columns, "\(command): \(line)")
      }
    }
  }

  private func checkJSON(_ command: CommandCase, _ result: ProgramResult) {
    #expect(result.exitCode == command.exitCode, "\(command): \(result)")
    // The output of `hold` is that of the command that it runs.
    let (text, others) =
      command.name == "hold" ? (result.errors, result.output) : (result.output, result.errors)
    #expect(others == "", "\(command): \(result)")
    let documents = command.hasLines ? text.split(separator: "\n").map(String.init) : [text]
    #expect(!documents.isEmpty, "\(command)")
    for document in documents {
      let value = try? JSONSerialization.jsonObject(with: Data(document.utf8))
      #expect(value is [String: Any], "\(command): \(document)")
    }
  }

  @Test(
    "Who has no role may nothing, who observes may read, who administers may do both",
    .enabled(if: Host.isRoot, "only root can become another user"),
    arguments: ["none", "observe", "administer"])
  func roles(role: String) throws {
    let host = try CommandHost(role: role)
    let options = try optionsByCommand()
    for command in CommandCase.all where command.kind != .alone && command.kind != .decides {
      let isLetIn = role == "administer" || role == "observe" && command.kind == .observes
      let before = try host.state()
      let yes = options[command.name]?.contains("yes") == true ? ["--yes"] : []
      let result = try host.run(command.words(yes), user: Host.otherUser)
      if isLetIn {
        #expect(result.exitCode == 0 && result.errors == "", "\(role): \(command): \(result)")
      } else {
        #expect(result.exitCode == 1, "\(role): \(command): \(result)")
        // What doctor finds is its output.
        let told = command.name == "doctor" ? result.output : result.errors
        #expect(told.contains("in daemon.access"), "\(role): \(command): \(result)")
        #expect(command.name == "doctor" || result.output == "", "\(role): \(command): \(result)")
        #expect(try host.state() == before, "\(role): \(command)")
      }
    }
  }

  @Test(
    "Who may query may not settle, and who may neither gets no decision",
    .enabled(if: Host.isRoot, "only root can become another user"),
    arguments: [["settle"], ["query"], []])
  func rolesOfDecisions(roles: [String]) throws {
    // Of others that concern no decision.
    let host = try CommandHost(others: roles)
    for command in CommandCase.all where command.kind == .decides {
      let isLetIn = CommandCase.needs[command.name].map(roles.contains) ?? true
      let before = try host.state()
      let result = try host.run(command.words([]), user: Host.otherUser)
      if isLetIn {
        #expect(result.exitCode == command.exitCode, "\(roles): \(command): \(result)")
        #expect(!result.errors.contains("not permitted"), "\(roles): \(command): \(result)")
      } else {
        #expect(result.exitCode == 1 && result.output == "", "\(roles): \(command): \(result)")
        #expect(result.errors.contains("not permitted"), "\(roles): \(command): \(result)")
        #expect(try host.state() == before, "\(roles): \(command)")
      }
    }
  }
}
