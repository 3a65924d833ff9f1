// `limitctl events` against the real daemon: what it prints, how it follows, and how it ends.

import DaemonSupport
import Foundation
import Testing

@Suite struct EventCommandTests {
  private func lines(_ text: String) -> [[String: Any]] {
    text.split(whereSeparator: \.isNewline).compactMap {
      (try? JSONSerialization.jsonObject(with: Data($0.utf8))) as? [String: Any]
    }
  }

  private func block(_ daemon: TestDaemon, _ tenant: String, _ reason: String = "r") throws {
    let answer = try daemon.ask(
      "PUT", "/v1/tenants/\(tenant)/block", #"{"reason": "\#(reason)"}"#)
    #expect(answer.status == 200, "\(answer.text)")
  }

  @Test("The last events are lines of JSON")
  func last() throws {
    let daemon = try TestDaemon()
    for tenant in ["acme", "free", "acme"] { try block(daemon, tenant, "for \(tenant)") }
    try block(daemon, "acme", "again")
    func kinds(_ arguments: [String]) throws -> [String] {
      let result = try Program.run(["events", "--socket", daemon.socketPath] + arguments)
      #expect(result.exitCode == 0 && result.errors == "", "\(result.errors)")
      return lines(result.output).map { "\($0["kind"] ?? "") \($0["tenant_id"] ?? "")" }
    }
    let all = ["tenant_changed acme", "tenant_changed free", "tenant_changed acme"]
    #expect(try kinds([]) == all && kinds(["--json"]) == all)
    #expect(try kinds(["--last", "1"]) == all.suffix(1) && kinds(["--last", "0"]) == [])
    #expect(try kinds(["--tenant", "free"]) == ["tenant_changed free"])
    #expect(try Program.run(["events", "--last", "501"]).exitCode == 64)
  }

  @Test("Following prints what happens as it does, over a restart of the daemon too")
  func follow() throws {
    let daemon = try TestDaemon()
    try block(daemon, "free")
    try block(daemon, "acme")
    let terminal = try PseudoTerminal(columns: 500)
    let program = try terminal.start(
      ["events", "--follow", "--tenant", "acme", "--last", "0", "--socket", daemon.socketPath])
    // Until it follows: then it is told of each.
    var number = 0
    try wait(for: "an event") {
      number += 1
      try block(daemon, "acme", "no \(number)")
      usleep(200_000)
      return try !lines(terminal.output()).isEmpty
    }
    #expect(try daemon.stop().code == 0)
    try daemon.startForAdministrators()
    try block(daemon, "free", "later")
    try block(daemon, "acme", "after the restart")
    try wait(for: "an event of the next run") {
      try lines(terminal.output()).contains {
        ($0["to"] as? String)?.contains("after the restart") ?? false
      }
    }
    let told = try lines(terminal.output())
    #expect(told.allSatisfy { $0["tenant_id"] as? String == "acme" })
    let ids = told.compactMap { $0["id"] as? UInt64 }
    #expect(ids.count == told.count && ids == ids.sorted() && Set(ids).count == ids.count)
    // Not Ctrl-C's signal, which a test in the background ignores, and its children with it.
    program.terminate()
    #expect(try terminal.end(of: program) == 143)
  }

  @Test("Who reads too slowly is told how many events it lost")
  func slowReader() throws {
    let daemon = try TestDaemon()
    // A pipe that nobody reads from, until there are more events than are kept.
    let pipe = Pipe()
    let process = Process()
    process.executableURL = URL(filePath: Program.limitctl)
    process.arguments = ["events", "--follow", "--last", "0", "--socket", daemon.socketPath]
    process.standardOutput = pipe
    try process.run()
    defer { process.terminate() }
    for round in 0..<120 {
      let reason = String(repeating: "x", count: 100)
      let tenants = (0..<60).map {
        #"{"tenant": "t\#(round)-\#($0)", "block": {"reason": "\#(reason)"}}"#
      }
      let body = #"{"tenants": [\#(tenants.joined(separator: ","))]}"#
      let answer = try daemon.ask("POST", "/v1/overrides", body)
      #expect(answer.status == 200, "\(answer.text)")
    }
    var text = ""
    try wait(for: "the loss") {
      text += String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
      return text.contains(#""kind":"lost""#)
    }
    let lost = lines(text).first { $0["kind"] as? String == "lost" }
    #expect((lost?["count"] as? Int ?? 0) > 0)
  }
}
