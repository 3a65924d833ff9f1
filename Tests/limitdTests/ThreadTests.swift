// How readily the kernel gives the daemon's threads a processor: those that decide before all others.

import DaemonSupport
import Foundation
import Testing

extension DaemonTests {
  @Suite struct ThreadTests {
    /// The nice values of a process's threads, by name.
    private func niceValues(of process: Int) throws -> [String: Int] {
      let folder = "/proc/\(process)/task"
      var values: [String: Int] = [:]
      for thread in try FileManager.default.contentsOfDirectory(atPath: folder) {
        let text = try String(contentsOfFile: "\(folder)/\(thread)/stat", encoding: .utf8)
        let open = try #require(text.firstIndex(of: "("))
        let close = try #require(text.lastIndex(of: ")"))
        // Field 19 of proc(5); the third follows the name.
        let fields = text[close...].split(separator: " ").dropFirst()
        let name = String(text[text.index(after: open)..<close])
        values[name] = Int(fields[fields.startIndex + 16])
      }
      return values
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
        return values["limitd-upkeep"] == nice && values["limitd-monitor"] == nice
          && values.count(where: { !$0.key.hasPrefix("limitd") && $0.value == nice }) == 2
      }
      let values = try niceValues(of: pid)
      for name in ["limitd-loop-0", "limitd-loop-1", "limitd-accept", "limitd-snapshot"] {
        #expect(values[name] == before, "\(name): \(values)")
      }
    }
  }
}
