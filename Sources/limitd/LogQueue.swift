// Where log lines go: a queue that nobody waits for, and a thread that writes it to standard error.
//
// Standard error may be a pipe that nobody reads. Then lines pile up to a bound, further ones are
// lost and counted, and the count is told once lines get through again; a decision, a reload or the
// end of the daemon never waits for it.

import Glibc
import LimitSystem

/// Lines on their way to a descriptor. Any thread.
final class LogQueue: Sendable {
  /// Most bytes that wait; as many may be with the thread that writes.
  static let bytesMax = 1 << 18
  /// How long the end of the daemon waits for lines to be written, in ms.
  private static let flushMilliseconds = 300

  private struct State {
    var lines: [String] = []
    var byteCount = 0
    var lostCount = 0
    var isWriting = false

    /// Puts what was lost where it would have stood.
    mutating func tellLost() {
      guard lostCount > 0 else { return }
      append("limitd: \(lostCount) log lines are lost, since nobody read them\n")
      lostCount = 0
    }

    mutating func append(_ line: String) {
      lines.append(line)
      byteCount += line.utf8.count
    }

    mutating func take() -> [String] {
      tellLost()
      defer {
        lines = []
        byteCount = 0
      }
      return lines
    }
  }

  /// The process's.
  static let standardError = LogQueue()

  private let state = Locked(State())
  private let hasLines = Condition()
  private let output: LineOutput

  /// - Parameter descriptor: is not closed.
  init(to descriptor: Int32 = STDERR_FILENO) { output = LineOutput(descriptor: descriptor) }

  /// Adds a line; it ends with a newline. Returns at once.
  func add(_ line: String) {
    state.withLock { state in
      guard state.byteCount + line.utf8.count <= Self.bytesMax else {
        state.lostCount += 1
        return
      }
      state.tellLost()
      state.append(line)
    }
    hasLines.signal()
  }

  /// Starts to write. Before this, lines wait.
  func start() throws(SystemError) {
    _ = try Thread(named: "limitd-log") { self.run() }
  }

  /// Writes the lines so far on this thread, for a daemon that does not come to start. Like
  /// `flush`, it waits a little where nobody reads: once, whatever there is to write.
  func writeNow() {
    for line in state.withLock({ $0.take() }) {
      guard output.writeBriefly(line) else { return }
    }
  }

  /// Gives the lines so far some time to be written.
  ///
  /// - Parameter deadline: by CLOCK_BOOTTIME, in ns; it may be over sooner.
  func flush(until deadline: UInt64) {
    for _ in 0..<Self.flushMilliseconds where Clock.bootNanoseconds() < deadline {
      if state.withLock({ $0.lines.isEmpty && !$0.isWriting }) { return }
      usleep(1000)
    }
  }

  private func run() {
    while true {
      hasLines.wait()
      let lines = state.withLock { state in
        let lines = state.take()
        state.isWriting = !lines.isEmpty
        return lines
      }
      for line in lines { output.write(line) }
      state.withLock { $0.isWriting = false }
    }
  }
}

/// Where lines go, a whole line per write, so that lines of several processes do not mix. Any thread.
struct LineOutput: Sendable {
  static let standardError = LineOutput(descriptor: STDERR_FILENO)

  let descriptor: Int32

  func write(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      var rest = bytes[...]
      while let start = UnsafeBufferPointer(rebasing: rest).baseAddress, !rest.isEmpty {
        let count = retrying { Glibc.write(descriptor, start, rest.count) }
        // Whoever shares the descriptor may have made it one that does not block.
        if count < 0, errno == EAGAIN {
          var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
          poll(&entry, 1, -1)
          continue
        }
        guard count > 0 else { return }
        rest = rest.dropFirst(count)
      }
    }
  }

  /// Bytes that a pipe takes at once when it takes any: PIPE_BUF of Linux (pipe(7)).
  private static let pipeBytes = 4096
  private static let patienceMilliseconds: Int32 = 300

  /// As `write`, but gives up where nobody reads: a daemon that ends must not wait for that.
  ///
  /// - Returns: whether all of it was taken.
  @discardableResult func writeBriefly(_ text: String) -> Bool {
    var text = text
    return text.withUTF8 { bytes in
      var rest = bytes[...]
      while let start = UnsafeBufferPointer(rebasing: rest).baseAddress, !rest.isEmpty {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&entry, 1, Self.patienceMilliseconds) == 1 else { return false }
        let count = retrying {
          Glibc.write(descriptor, start, min(rest.count, Self.pipeBytes))
        }
        guard count > 0 else { return false }
        rest = rest.dropFirst(count)
      }
      return true
    }
  }
}
