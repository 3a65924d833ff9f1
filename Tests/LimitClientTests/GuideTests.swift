// docs/CLIENT.md shows what examples/client does, and that works.

import DaemonSupport
import Foundation
import Testing

extension DaemonTests {
  @Suite struct GuideTests {
    private let root = URL(filePath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()

    @Test func everyBlockOfThePageStandsInTheExample() throws {
      let page = try String(
        contentsOf: root.appending(path: "docs/CLIENT.md"), encoding: .utf8)
      let example = try String(
        contentsOf: root.appending(path: "examples/client/ClientExample.swift"), encoding: .utf8)
      let blocks = page.components(separatedBy: "```swift\n").dropFirst().map {
        $0.components(separatedBy: "```")[0]
      }
      #expect(blocks.count >= 6)
      for block in blocks { #expect(example.contains(block), "\(block)") }
    }

    @Test func theExampleDoesWhatItSays() throws {
      let policy = try String(
        contentsOf: root.appending(path: "examples/client/policy.yaml"), encoding: .utf8)
      let daemon = try TestDaemon { options in options.policy = policy }
      let process = Process()
      process.executableURL = URL(filePath: TestDaemon.folder)
        .appending(path: "ClientExample")
      process.environment = ["LIMITD_SOCKET": daemon.socketPath]
      let output = Pipe()
      process.standardOutput = output
      try process.run()
      let text = String(
        decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      #expect(process.terminationStatus == 0)
      #expect(
        text == """
          allow user 19
          resized
          settled 98688
          away: deny 2
          200
          allow
          refused false
          held: true

          """)
    }
  }
}
