// `limitctl hold` against the real daemon.

import DaemonSupport
import Foundation
import Glibc
import Testing

@Suite struct HoldTests {
  private func hold(
    _ daemon: TestDaemon, _ options: [String] = [], _ command: [String]
  ) throws -> ProgramResult {
    try Program.run(
      ["hold", "--socket", daemon.socketPath] + options + ["acme", "held", "--"] + command)
  }

  @Test func theCommandRunsAndItsExitCodeIsHoldsOwn() throws {
    let daemon = try TestDaemon()
    let result = try hold(daemon, [], ["sh", "-c", "echo out; exit 7"])
    #expect(result.output == "out\n")
    #expect(result.exitCode == 7)
    #expect(try hold(daemon, [], ["/nonexistent/x"]).exitCode == 127)
    #expect(try hold(daemon, [], ["/"]).exitCode == 126)
    #expect(try hold(daemon, [], ["sh", "-c", "kill -9 $$"]).exitCode == 137)
  }

  @Test func aDenialHasTheExitCodeThatIsAskedFor() throws {
    let daemon = try TestDaemon()
    let denied = try Program.run(
      ["hold", "--socket", daemon.socketPath, "-E", "75", "banned", "held", "--", "true"])
    #expect(denied.exitCode == 75)
    let usual = try Program.run(
      ["hold", "--socket", daemon.socketPath, "banned", "held", "--", "true"])
    #expect(usual.exitCode == 2)
    #expect(usual.errors.contains("the tenant is blocked"))
  }

  @Test func theCommandEndsWithItsHolder() throws {
    let daemon = try TestDaemon()
    let process = Process()
    process.executableURL = URL(filePath: Program.limitctl)
    let output = Pipe()
    process.standardOutput = output
    process.arguments =
      ["hold", "--socket", daemon.socketPath, "acme", "held", "--", "sh", "-c"]
      + ["echo $$; exec sleep 600"]
    try process.run()
    var text = ""
    while !text.hasSuffix("\n") {
      text += String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
    }
    let command = try #require(Int32(text.dropLast()))
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
    // Init, or whoever stands in for it, may take a while to bury it.
    try wait(for: "the command to end with its holder") {
      let state = (try? String(contentsOfFile: "/proc/\(command)/stat", encoding: .utf8)) ?? ") X"
      return ["X", "Z"].contains(
        state.split(separator: ")").last?.trimmingCharacters(
          in: .whitespaces
        ).prefix(1) ?? "X")
    }
  }
}
