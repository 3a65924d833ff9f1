// Where log lines go: a queue that nobody waits for, and a thread that writes it to standard error.
//
// Standard error may be a pipe that nobody reads. Then lines pile up to a bound, further ones are
// lost and counted, and the count is told once lines get through again; a decision, a reload or the
// end of the daemon never waits for it.

import Glibc
import LimitSystem

/// Lines on their way to standard error. Any thread.
final class LogQueue: Sendable {
  /// Most bytes that wait.
  private static let bytesMax = 1 << 18
  /// How long the end of the daemon waits for lines to be written, in ms.
  private static let flushMilliseconds = 300

  private struct State {
    var lines: [String] = []
    var byteCount = 0
    var lostCount = 0
    var isWriting = false
  }

  /// The process's.
  static let standardError = LogQueue()

  private let state = Locked(State())
  private let hasLines: Condition

  private init() { hasLines = Condition() }

  /// Adds a line; it ends with a newline. Returns at once.
  func add(_ line: String) {
    state.withLock { state in
      guard state.byteCount + line.utf8.count <= Self.bytesMax else {
        state.lostCount += 1
        return
      }
      if state.lostCount > 0 {
        let lost = "limitd: \(state.lostCount) log lines are lost, since nobody read them\n"
        state.lines.append(lost)
        state.byteCount += lost.utf8.count
        state.lostCount = 0
      }
      state.lines.append(line)
      state.byteCount += line.utf8.count
    }
    hasLines.signal()
  }

  /// Starts to write. Before this, lines wait.
  func start() throws(SystemError) {
    _ = try Thread(named: "limitd-log") { self.run() }
  }

  /// Writes the lines so far on this thread, for a daemon that does not come to start. Like
  /// `flush`, it waits a little where nobody reads.
  func writeNow() {
    let lines = state.withLock { state in
      defer { state = State() }
      return state.lines
    }
    for line in lines { StandardError.writeBriefly(line) }
  }

  /// Gives the lines so far some time to be written.
  func flush() {
    for _ in 0..<Self.flushMilliseconds {
      if state.withLock({ $0.lines.isEmpty && !$0.isWriting }) { return }
      usleep(1000)
    }
  }

  private func run() {
    while true {
      hasLines.wait()
      let lines = state.withLock { state in
        defer {
          state.lines = []
          state.byteCount = 0
          state.isWriting = !state.lines.isEmpty
        }
        return state.lines
      }
      for line in lines { StandardError.write(line) }
      state.withLock { $0.isWriting = false }
    }
  }
}

/// Standard error, a whole line per write, so that lines of several processes do not mix.
enum StandardError {
  static func write(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      var rest = bytes[...]
      while let start = UnsafeBufferPointer(rebasing: rest).baseAddress, !rest.isEmpty {
        let count = retrying { Glibc.write(STDERR_FILENO, start, rest.count) }
        guard count > 0 else { return }
        rest = rest.dropFirst(count)
      }
    }
  }

  /// Bytes that a pipe takes at once when it takes any: PIPE_BUF of Linux (pipe(7)).
  private static let pipeBytes = 4096
  private static let patienceMilliseconds: Int32 = 300

  /// As `write`, but gives up where nobody reads: a daemon that ends must not wait for that.
  static func writeBriefly(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      var rest = bytes[...]
      while let start = UnsafeBufferPointer(rebasing: rest).baseAddress, !rest.isEmpty {
        var entry = pollfd(fd: STDERR_FILENO, events: Int16(POLLOUT), revents: 0)
        guard poll(&entry, 1, patienceMilliseconds) == 1 else { return }
        let count = retrying {
          Glibc.write(STDERR_FILENO, start, min(rest.count, pipeBytes))
        }
        guard count > 0 else { return }
        rest = rest.dropFirst(count)
      }
    }
  }
}
