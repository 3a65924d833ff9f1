// Screens as people see them, on terminals of 80 and 120 columns. Snapshots lie in Tests/Snapshots;
// to write them anew, run the tests with LIMITD_UPDATE_SNAPSHOTS=1 and look at the difference.

import Foundation
import LimitConsole
import Testing

private let screens: [(name: String, arguments: [String])] = [
  ("help", ["--help"]),
  ("help-replay", ["help", "replay"]),
  ("help-hold", ["hold", "--help"]),
  ("explain", ["config", "explain", "examples/policy.yaml", "district-7", "chat", "--key", "bob"]),
  ("mistyped", ["config", "chekc"]),
  (
    "replay",
    ["replay", "--config", "examples/policy.yaml", "examples/sample-trace.csv"]
  ),
  (
    "replay-access-log",
    [
      "replay", "--config", "examples/policy.yaml", "--policy", "gateway", "--key-from", "path",
      "examples/access.log",
    ]
  ),
]

@Suite struct ScreenTests {
  @Test(arguments: [80, 120])
  func screensAreAsTheyWereAndFit(columns: Int) throws {
    for (name, arguments) in screens {
      let screen = try Program.onTerminal(
        columns: columns, arguments, environment: ["NO_COLOR": "1"])
      // What a progress bar drew and took away again is none of it.
      let text = screen.output.replacing(/\r\u{1B}\[K[^\n\r]*\r\u{1B}\[K/, with: "")
      #expect(!text.contains("\u{1B}"), "\(name)")
      for line in text.split(separator: "\n") {
        #expect(displayWidth(String(line)) <= columns, "\(name): \(line)")
      }
      let file = "\(Program.root)/Tests/Snapshots/screen-\(name)-\(columns).txt"
      if ProcessInfo.processInfo.environment["LIMITD_UPDATE_SNAPSHOTS"] == "1" {
        try text.write(toFile: file, atomically: true, encoding: .utf8)
      }
      #expect(
        text == (try String(contentsOfFile: file, encoding: .utf8)), "screen-\(name)-\(columns)")
    }
  }

  @Test func theScreensInTheReadmeAreTheSnapshots() throws {
    let readme = try String(contentsOfFile: "\(Program.root)/README.md", encoding: .utf8)
    for name in ["status", "top", "tenant-show", "replay"] {
      var screen = try String(
        contentsOfFile: "\(Program.root)/Tests/Snapshots/screen-\(name)-80.txt", encoding: .utf8)
      // Of the report its beginning.
      if let end = screen.firstRange(of: "\nOver time") {
        screen = String(screen[..<end.lowerBound])
      }
      #expect(readme.contains("```\n\(screen)```\n"), "\(name)")
    }
  }

  @Test func aTerminalHasColoursAndAPipeHasNone() throws {
    let arguments = ["replay", "--config", "examples/policy.yaml", "examples/sample-trace.csv"]
    #expect(try Program.onTerminal(columns: 80, arguments).output.contains("\u{1B}[1mReplay"))
    let piped = try Program.run(arguments + ["--format", "report"])
    #expect(!piped.output.contains("\u{1B}"))
    #expect(piped.errors == "")
  }
}
