// A line on standard error that shows how far a run is. Only for a person who waits: it is drawn
// where standard error is a terminal and the decisions do not scroll by on one.

import CLinux
import Glibc
import LimitConsole

/// Draws progress at most ten times a second. One thread uses it.
package struct ProgressBar {
  package static let off = ProgressBar(isOn: false, traces: [])

  private static let rowsBetweenLooks = 8192
  private static let nanosecondsBetweenDrawings: UInt64 = 100_000_000
  private static let barWidth = 30

  private let isOn: Bool
  /// Bytes of all files; `nil` where one is no file.
  private let bytesTotal: Int?
  private var bytesOfEarlierFiles = 0
  private var bytesOfFile = 0
  private var rows = 0
  private var startedAt: UInt64 = 0
  private var drawnAt: UInt64 = 0
  private var isDrawn = false

  package init(isOn: Bool, traces: [String]) {
    self.isOn = isOn
    var total = 0
    var areFiles = true
    for path in traces {
      var status = stat()
      if stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG {
        total += Int(status.st_size)
      } else {
        areFiles = false
      }
    }
    bytesTotal = areFiles && total > 0 ? total : nil
    if isOn { startedAt = Self.now() }
  }

  mutating func begin(file: String) {
    bytesOfEarlierFiles += bytesOfFile
    bytesOfFile = 0
  }

  @inline(__always)
  mutating func advance(bytesRead: Int) {
    guard isOn else { return }
    rows += 1
    if rows % Self.rowsBetweenLooks == 0 { look(bytesRead) }
  }

  private mutating func look(_ bytesRead: Int) {
    bytesOfFile = bytesRead
    let now = Self.now()
    guard now - drawnAt >= Self.nanosecondsBetweenDrawings else { return }
    drawnAt = now
    isDrawn = true
    Self.write("\r\u{1B}[K" + line(elapsed: now - startedAt))
  }

  /// Removes the line, so that a message can stand in its place.
  mutating func clear() {
    guard isDrawn else { return }
    isDrawn = false
    Self.write("\r\u{1B}[K")
  }

  private func line(elapsed: UInt64) -> String {
    let rate = UInt64(rows) * 1_000_000_000 / max(1, elapsed)
    let figures = "\(grouped(rows)) rows, \(grouped(rate))/s"
    guard let bytesTotal else { return "  \(figures)" }
    return Self.bar(part: bytesOfEarlierFiles + bytesOfFile, whole: bytesTotal) + "  \(figures)"
  }

  /// `███████▌                       25.0 %`
  static func bar(part: Int, whole: Int) -> String {
    let eighths = min(part, whole) * barWidth * 8 / max(1, whole)
    let full = String(repeating: "█", count: eighths / 8)
    let rest = eighths % 8 == 0 ? "" : String(Blocks.eighths[eighths % 8 - 1])
    let blank = String(repeating: " ", count: barWidth - full.count - rest.count)
    return "  \(full)\(rest)\(blank) \(percentage(min(part, whole), of: whole))"
  }

  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  private static func write(_ text: String) {
    var text = text
    _ = text.withUTF8 { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}

/// Characters to draw amounts with.
enum Blocks {
  /// Columns of one to eight eighths of a cell, from below; horizontal ones for the bar.
  static let columns: [Character] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
  static let eighths: [Character] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"]
}
