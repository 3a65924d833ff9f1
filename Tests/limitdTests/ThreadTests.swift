// What the daemon's threads do: those that decide come before all others, and the one that hears
// signals does nothing that takes long.

import DaemonSupport
import Foundation
import Testing

extension DaemonTests {
  @Suite struct ThreadTests {
    /// What a file of proc(5) says of each of a process's threads, by name.
    private func threads(of process: Int, _ file: String) throws -> [String: String] {
      let folder = "/proc/\(process)/task"
      func text(_ thread: String, _ file: String) throws -> String {
        try String(contentsOfFile: "\(folder)/\(thread)/\(file)", encoding: .utf8)
      }
      var texts: [String: String] = [:]
      for thread in try FileManager.default.contentsOfDirectory(atPath: folder) {
        texts[String(try text(thread, "comm").dropLast())] = try text(thread, file)
      }
      return texts
    }

    /// The nice values of a process's threads, by name.
    private func niceValues(of process: Int) throws -> [String: Int] {
      try threads(of: process, "stat").compactMapValues { text in
        // Field 19; the third follows the name.
        let fields = text[try #require(text.lastIndex(of: ")"))...].split(separator: " ")
          .dropFirst()
        return Int(fields[fields.startIndex + 16])
      }
    }

    /// Processor time that each of a process's threads has taken, in ns, by name.
    private func runningTimes(of process: Int) throws -> [String: Int] {
      try threads(of: process, "schedstat").mapValues { text in
        try #require(text.split(separator: " ").first.flatMap { Int($0) })
      }
    }

    @Test("Sweeping is on a thread of its own, and not on the one that hears signals")
    func sweeping() throws {
      let daemon = try TestDaemon { $0.settings = "  table: {key-slots: 16M}" }
      // A sweep, of some 80 ms, is due once something was decided.
      #expect(try daemon.peer().decide(Request.query("acme", "many")).isAllowed)
      let pid = try #require(daemon.ask("GET", "/v1/status").json["pid"] as? Int)
      let before = try runningTimes(of: pid)
      func took(_ thread: String) throws -> Int {
        try #require(runningTimes(of: pid)[thread]) - before[thread, default: 0]
      }
      try wait(for: "a sweep") { try took("limitd-upkeep") > 40_000_000 }
      #expect(try took("limitd") * 4 < took("limitd-upkeep"))
    }

    @Test("Threads that are not on a decision's path stand back; loops and the acceptor do not")
    func standBack() throws {
      let daemon = try TestDaemon { $0.settings = "  workers: 2" }
      // Answered: so the interface's own threads have begun.
      #expect(try daemon.ask("GET", "/v1/status").status == 200)
      let pid = try #require(daemon.ask("GET", "/v1/status").json["pid"] as? Int)
      let before = try #require(niceValues(of: pid)["limitd"])
      // One that is nicer already is left as it is.
      let nice = max(10, before)
      // The names of the interface's own threads are its library's.
      try wait(for: "threads that stand back") {
        let values = try niceValues(of: pid)
        return values["limitd-upkeep"] == nice && values["limitd-changes"] == nice
          && values["limitd-monitor"] == nice
          && values.count(where: { !$0.key.hasPrefix("limitd") && $0.value == nice }) == 2
      }
      let values = try niceValues(of: pid)
      for name in ["limitd-loop-0", "limitd-loop-1", "limitd-accept", "limitd-snapshot"] {
        #expect(values[name] == before, "\(name): \(values)")
      }
    }
  }
}
