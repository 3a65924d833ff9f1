// What the kernel says of a running daemon (proc(5)).

import Foundation
import Glibc

extension TestDaemon {
  /// Resident memory, in bytes.
  public var residentBytes: Int { statusField("VmRSS:") * 1024 }

  /// The most that it ever was, in bytes.
  public var residentBytesMax: Int { statusField("VmHWM:") * 1024 }

  public var threadCount: Int { statusField("Threads:") }

  /// Open descriptors.
  public var descriptorCount: Int {
    (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd").count) ?? 0
  }

  /// The soft limit of open descriptors.
  public var descriptorLimit: Int {
    let text = (try? String(contentsOfFile: "/proc/\(process)/limits", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix("Max open files") } ?? ""
    return line.split(separator: " ").dropFirst(3).first.flatMap { Int($0) } ?? 0
  }

  /// Processor time that it has taken, in seconds.
  public var processorSeconds: Double {
    let text = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
    let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
    guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else {
      return 0
    }
    return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  private func statusField(_ name: String) -> Int {
    let text = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix(name) } ?? ""
    return line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
  }
}
