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

  /// As long as the reply says for a rate, and until a holder gives back for a permit.
  @Test func waitingEndsWhereALimitAdmits() throws {
    let daemon = try TestDaemon { options in
      options.policy = """
        limits:
          held: {algorithm: concurrency, limit: 1, scope: tenant}
          slow: {algorithm: token-bucket, rate: 1/s, burst: 1, scope: tenant}
        policies: {held: [held], slow: [slow]}
        tenants: {acme: {}}
        """
    }
    let socket = ["hold", "--socket", daemon.socketPath]
    let first = try Program.run(socket + ["acme", "slow", "--", "echo", "ran"])
    #expect(first.output == "ran\n")
    #expect(first.errors.contains("so nothing is held"))
    let slow = try Program.run(socket + ["--wait", "1m", "acme", "slow", "--", "echo", "ran"])
    #expect(slow.output == "ran\n" && slow.exitCode == 0)
    // Never is not waited for.
    let never = try Program.run(
      socket + ["--wait", "1h", "--cost", "2", "acme", "slow", "--", "true"])
    #expect(never.exitCode == 2)
    // A hold within a hold of the only permit waits in vain; the one behind it gets it.
    let within = ["--wait", "50ms", "acme", "held", "--", "echo", "twice"]
    let nested = try Program.run(
      socket + ["acme", "held", "--", Program.limitctl] + socket + within)
    #expect(nested.exitCode == 2 && nested.output == "")
    let behind = try Program.run(socket + ["--wait", "1m", "acme", "held", "--", "echo", "ran"])
    #expect(behind.output == "ran\n")
  }

  @Test func theDaemonsEndIsToldAndTheCommandGoesOn() throws {
    let daemon = try TestDaemon()
    let process = Process()
    process.executableURL = URL(filePath: Program.limitctl)
    let (input, output, errors) = (Pipe(), Pipe(), Pipe())
    (process.standardInput, process.standardOutput) = (input, output)
    process.standardError = errors
    process.arguments = ["hold", "--socket", daemon.socketPath, "acme", "held", "--", "cat"]
    try process.run()
    try input.fileHandleForWriting.write(contentsOf: Data("held\n".utf8))
    #expect(output.fileHandleForReading.availableData == Data("held\n".utf8))
    daemon.kill()
    var told = ""
    while !told.hasSuffix("\n") {
      told += String(decoding: errors.fileHandleForReading.availableData, as: UTF8.self)
    }
    #expect(told.contains("and with it the permit"), "\(told)")
    try input.fileHandleForWriting.write(contentsOf: Data("on\n".utf8))
    #expect(output.fileHandleForReading.availableData == Data("on\n".utf8))
    try input.fileHandleForWriting.close()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    #expect(errors.fileHandleForReading.readDataToEndOfFile().isEmpty, "told once")
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
