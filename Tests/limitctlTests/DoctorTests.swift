// What `limitctl doctor` finds on a host with the real daemon, and what it says helps.

import DaemonSupport
import Foundation
import Glibc
import Testing

@Suite struct DoctorTests {
  private func limitctl(_ daemon: TestDaemon, _ arguments: [String]) throws -> ProgramResult {
    try Program.run(arguments + ["--socket", daemon.socketPath])
  }

  private func report(_ daemon: TestDaemon) throws -> [String: Any] {
    let result = try limitctl(daemon, ["doctor", "--json"])
    let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
    return try #require(object as? [String: Any], "\(result.output)\(result.errors)")
  }

  @Test func doctorFindsNothingWhereNothingIsWrongAndElseSaysWhatHelps() throws {
    let daemon = try TestDaemon()
    let well = try limitctl(daemon, ["doctor"])
    #expect(well.exitCode == 0 && !well.output.contains("BAD"), "\(well.output)")
    let subjects = ["policy file", "state directory", "catalog", "clock", "open files", "versions"]
    for text in ["(0600, group"] + subjects {
      #expect(well.output.contains(text), "\(text) in \(well.output)")
    }
    try daemon.write(policy: "limits: 3")
    _ = try limitctl(daemon, ["reload"])
    let ill = try limitctl(daemon, ["doctor"])
    #expect(ill.exitCode == 1, "\(ill.output)")
    for text in ["the last reload failed", "a restart would fail", "limitctl config check"] {
      #expect(ill.output.contains(text), "\(text) in \(ill.output)")
    }
    #expect(try report(daemon)["format"] as? String == "limitctl-doctor/1")
    daemon.kill()
    let gone = try limitctl(daemon, ["doctor"])
    #expect(gone.exitCode == 1 && gone.output.contains("systemctl start limitd"))
  }

  @Test func doctorLooksAtWhatOutlastsTheDaemon() throws {
    let daemon = try TestDaemon()
    func finding(_ subject: String) throws -> [String: Any] {
      let findings = try #require(report(daemon)["findings"] as? [[String: Any]])
      return try #require(findings.first { $0["subject"] as? String == subject })
    }
    #expect(try finding("catalog")["grade"] as? String == "good")
    try Data("x".utf8).write(to: URL(filePath: "\(daemon.statePath)/catalog.sqlite.refused"))
    #expect(try finding("catalog")["grade"] as? String == "doubtful")
    let key = "\(daemon.statePath)/hash.key"
    for (path, wrong, right) in [(daemon.statePath, 0o777, 0o700), (key, 0o644, 0o600)] {
      chmod(path, mode_t(wrong))
      let open = try finding("state directory")
      #expect(open["grade"] as? String == "bad")
      let remedy = "chmod \(String(right, radix: 8)) \(path)"
      #expect((open["remedy"] as? String)?.hasSuffix(remedy) == true, "\(open)")
      chmod(path, mode_t(right))
    }
    #expect(try finding("state directory")["grade"] as? String != "bad")
    // One that cannot have a catalog.
    let other = try TestDaemon(starts: false)
    mkdir(other.statePath, 0o700)
    mkdir("\(other.statePath)/catalog.sqlite", 0o700)
    try other.startForAdministrators()
    let ill = try limitctl(other, ["doctor"])
    #expect(ill.exitCode == 1 && ill.output.contains("nothing can be set at run time"), "\(ill)")
  }
}
