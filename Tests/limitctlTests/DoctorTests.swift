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
    let value = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
    let object = try #require(value as? [String: Any], "\(result.output)\(result.errors)")
    // Whatever is not well comes with what helps.
    for finding in try #require(object["findings"] as? [[String: Any]]) {
      let isWell = finding["grade"] as? String == "good"
      #expect((finding["remedy"] as? String)?.isEmpty == (isWell ? nil : false), "\(finding)")
    }
    return object
  }

  /// What is said of one thing: how it is, and what helps.
  private func finding(_ daemon: TestDaemon, _ subject: String) throws -> (
    grade: String, remedy: String
  ) {
    let findings = try #require(report(daemon)["findings"] as? [[String: Any]])
    let found = try #require(findings.first { $0["subject"] as? String == subject }, "\(findings)")
    return (found["grade"] as? String ?? "", found["remedy"] as? String ?? "")
  }

  @Test func doctorSaysOfEachThingThatIsWrongWhatHelps() throws {
    Host.raiseDescriptorLimit()
    let daemon = try TestDaemon {
      // Written twice, as it looks.
      $0.policy = DaemonOptions.defaultPolicy + "\n  \u{E9}: {}\n  e\u{301}: {}"
      $0.settings = "  limits: {connections: 100}"
      // Room for some dozen connections.
      ($0.descriptorsSoft, $0.descriptorsHard) = (360, 360)
    }
    #expect(
      try finding(daemon, "policy file") == (
        "doubtful", "see them: limitctl config check \(daemon.configPath)"
      ))
    let files = try finding(daemon, "open files")
    #expect(files.grade == "doubtful" && files.remedy.contains("LimitNOFILE="), "\(files)")
    var clients: [Peer] = []
    while clients.count < 100, let peer = try? daemon.peer() { clients.append(peer) }
    #expect((1..<100).contains(clients.count))
    let connections = try finding(daemon, "connections")
    #expect(connections.grade == "doubtful" && connections.remedy.contains("daemon.limits"))
    #expect(try finding(daemon, "decision socket").grade == "bad")
    rename(daemon.statePath, daemon.statePath + "-away")
    defer { rename(daemon.statePath + "-away", daemon.statePath) }
    #expect(try daemon.ask("POST", "/v1/snapshot").status == 500)
    let snapshots = try finding(daemon, "snapshots")
    #expect(snapshots.grade == "bad" && snapshots.remedy.contains("df "), "\(snapshots)")
    let directory = try finding(daemon, "state directory")
    #expect(directory.grade == "bad" && directory.remedy.contains("install -d"), "\(directory)")
  }

  @Test func doctorSaysWhichTableIsFull() throws {
    let daemon = try TestDaemon {
      $0.policy = $0.policy.replacing(/tenants:[^§]*/, with: "tenants: {\"*\": {}}")
      $0.settings = "  table: {key-slots: 1024}"
    }
    #expect(try finding(daemon, "key table").grade == "good")
    let client = try daemon.peer()
    for number in 0..<1_500 {
      _ = try client.decide(
        Request.query("t\(number % 20)", "few", key: "\(number)", id: UInt32(number)))
    }
    let table = try finding(daemon, "key table")
    #expect(table.grade == "doubtful" && table.remedy.contains("daemon.table"), "\(table)")
    #expect(try finding(daemon, "tenant table").grade == "good")
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
    #expect(try finding(daemon, "catalog").grade == "good")
    try Data("x".utf8).write(to: URL(filePath: "\(daemon.statePath)/catalog.sqlite.refused"))
    #expect(try finding(daemon, "catalog").grade == "doubtful")
    let key = "\(daemon.statePath)/hash.key"
    for (path, wrong, right) in [(daemon.statePath, 0o777, 0o700), (key, 0o644, 0o600)] {
      chmod(path, mode_t(wrong))
      let open = try finding(daemon, "state directory")
      #expect(open.grade == "bad")
      #expect(open.remedy.hasSuffix("chmod \(String(right, radix: 8)) \(path)"), "\(open)")
      chmod(path, mode_t(right))
    }
    #expect(try finding(daemon, "state directory").grade != "bad")
    // One that cannot have a catalog.
    let other = try TestDaemon(starts: false)
    mkdir(other.statePath, 0o700)
    mkdir("\(other.statePath)/catalog.sqlite", 0o700)
    try other.startForAdministrators()
    let ill = try limitctl(other, ["doctor"])
    #expect(ill.exitCode == 1 && ill.output.contains("nothing can be set at run time"), "\(ill)")
  }
}
