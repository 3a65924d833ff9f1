// The log where nobody reads it: lines are lost, and counted. The queue alone, then the daemon.

import DaemonSupport
import Glibc
import Testing

@testable import limitd

extension DaemonTests {
  @Suite struct LogTests {
    /// The number in the words that tell of lost lines; `nil` of any other line.
    private func lostCount(_ line: String) -> Int? {
      guard line.hasSuffix(" log lines are lost, since nobody read them") else { return nil }
      return Int(line.dropFirst("limitd: ".count).prefix { $0.isNumber })
    }

    @Test(
      "Each line that is logged arrives, or is counted where it would have stood",
      arguments: [true, false])
    func queue(_ blocks: Bool) throws {
      let pipe = try FullPipe(blocks: blocks)
      let queue = LogQueue(to: pipe.writing)
      try queue.start()
      let count = 20_000
      let padding = String(repeating: ".", count: 80)
      // Nobody reads: this ends only because nothing waits.
      for number in 0..<count { queue.add("\(number) \(padding)\n") }
      var (next, lost) = (0, 0)
      try wait(for: "each line to be told of") {
        while let line = pipe.nextLine() {
          if let more = lostCount(line) {
            lost += more
            next += more
          } else {
            try #require(line == "\(next) \(padding)")
            next += 1
          }
        }
        return next >= count
      }
      #expect(next == count)
      // What waits is bounded, in the queue and as much with the thread that writes.
      #expect(lost > 0 && (count - lost) * padding.utf8.count < 2 * LogQueue.bytesMax)
      queue.add("more\n")
      try wait(for: "the next line") { pipe.nextLine() == "more" }
    }

    @Test("Who does not come to start waits once for a log that nobody reads, not for each line")
    func notStarted() throws {
      let pipe = try FullPipe()
      let queue = LogQueue(to: pipe.writing)
      for number in 0..<50 { queue.add("\(number)\n") }
      let start = clockSeconds()
      queue.writeNow()
      #expect(clockSeconds() - start < 1)
    }

    @Test("A daemon whose log is read again tells how many lines were lost")
    func daemon() throws {
      let pipe = try FullPipe()
      let daemon = try TestDaemon.forAdministrators { $0.standardError = pipe.writing }
      // Each reload is 21 lines, of 20 kB all but one, and twice that is more than what waits.
      let value = String(repeating: "x", count: 20_000)
      let limits = (0..<30).map {
        "  l\($0): {algorithm: token-bucket, rate: \(value), burst: 1, scope: key}\n"
      }
      try daemon.write(policy: "limits:\n" + limits.joined() + "policies: {p: [l0]}\ntenants: {}")
      for _ in 0..<2 { #expect(try daemon.ask("POST", "/v1/reload").status == 422) }
      #expect(try daemon.peer().decide(Request.query("acme", "many")).isAllowed)
      var (told, lost) = (0, 0)
      try wait(for: "each line to be told of") {
        while let line = pipe.nextLine() {
          if line.contains(" policy file ") || line.contains(" not reloaded") { told += 1 }
          lost += lostCount(line) ?? 0
        }
        return told + lost >= 42
      }
      #expect(told + lost == 42 && lost > 0 && told > 0)
      #expect(try daemon.stop().code == 0)
    }
  }
}

/// A pipe that is full, and whose lines are read when a test asks for them. One thread uses it.
final class FullPipe {
  private static let filler = "filler"

  let writing: Int32
  private let reading: Int32
  private var pending: [UInt8] = []

  /// - Parameter blocks: whether a write waits, or fails with `EAGAIN`.
  init(blocks: Bool = true) throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    (reading, writing) = (ends[0], ends[1])
    while write(writing, Self.filler + "\n", Self.filler.utf8.count + 1) > 0 {}
    if blocks { _ = fcntl(writing, F_SETFL, 0) }
  }

  deinit {
    close(reading)
    close(writing)
  }

  /// The next line that somebody wrote; `nil`: there is none yet.
  func nextLine() -> String? {
    while true {
      while let end = pending.firstIndex(of: 10) {
        let line = String(decoding: pending[..<end], as: UTF8.self)
        pending.removeFirst(end + 1)
        if line != Self.filler { return line }
      }
      var chunk = [UInt8](repeating: 0, count: 1 << 16)
      let count = read(reading, &chunk, chunk.count)
      guard count > 0 else { return nil }
      pending += chunk[..<count]
    }
  }
}
