// The real limitctl as its users start it: in a pipe, or on a terminal of a certain width.

import Foundation
import Glibc

/// What a program said and how it ended.
struct ProgramResult {
  var output = ""
  var errors = ""
  /// As a shell has it: 128 and the signal where one ended it.
  var exitCode: Int32 = 0
}

/// Starts limitctl and others, and waits for them.
enum Program {
  /// Beside the tests' own program; LIMITD_BINARIES names another folder.
  static let folder: String = {
    let given = ProcessInfo.processInfo.environment["LIMITD_BINARIES"]
    let own = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
    return given ?? own.deletingLastPathComponent().path
  }()

  static let limitctl = "\(folder)/limitctl"

  /// The root of the package, where `examples/` is.
  static let root = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path

  /// Where a program is that Debian may lack; `nil` where it is not there.
  static func installed(_ name: String) -> String? {
    ["/usr/bin/\(name)", "/bin/\(name)"].first { access($0, X_OK) == 0 }
  }

  /// Runs a program in the package's root.
  ///
  /// - Parameter outputPath: where its output goes; a pipe to here unless given.
  static func run(
    _ arguments: [String], program: String = limitctl, input: String = "",
    environment: [String: String] = [:], outputPath: String? = nil
  ) throws -> ProgramResult {
    let process = process(program, arguments, environment)
    let (standardInput, output, errors) = (Pipe(), Pipe(), Pipe())
    process.standardInput = standardInput
    if let outputPath {
      process.standardOutput = FileHandle(forWritingAtPath: outputPath)
    } else {
      process.standardOutput = output
    }
    process.standardError = errors
    try process.run()
    try standardInput.fileHandleForWriting.write(contentsOf: Data(input.utf8))
    try standardInput.fileHandleForWriting.close()
    var result = ProgramResult()
    if outputPath == nil { result.output = text(of: output) }
    result.errors = text(of: errors)
    process.waitUntilExit()
    result.exitCode = code(of: process)
    return result
  }

  /// Runs limitctl with its output and errors on a terminal so wide.
  ///
  /// - Parameter typed: what somebody types there; `nil`: nobody does.
  static func onTerminal(
    columns: Int, _ arguments: [String], environment: [String: String] = [:], typed: String? = nil
  ) throws -> ProgramResult {
    // posix_openpt(3) and its like, which Swift's Glibc lacks: pty(7), ioctl_tty(2).
    let terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
    var (isLocked, number): (Int32, Int32) = (0, 0)
    let (setLock, getNumber): (UInt, UInt) = (0x4004_5431, 0x8004_5430)
    precondition(terminal >= 0 && ioctl(terminal, setLock, &isLocked) == 0)
    precondition(ioctl(terminal, getNumber, &number) == 0)
    var size = winsize(ws_row: 60, ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
    _ = ioctl(terminal, UInt(TIOCSWINSZ), &size)
    let other = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
    precondition(other >= 0)
    let process = process(
      limitctl, arguments, ["TERM": "xterm-256color"].merging(environment) { $1 })
    let handle = FileHandle(fileDescriptor: other, closeOnDealloc: false)
    process.standardInput = typed == nil ? FileHandle.nullDevice : handle
    process.standardOutput = handle
    process.standardError = handle
    try process.run()
    close(other)
    // The terminal keeps it until it is read.
    if let typed { _ = write(terminal, typed, typed.utf8.count) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    // The last holder of the other end gone, reading fails.
    while true {
      let count = read(terminal, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      bytes += chunk[..<count]
    }
    close(terminal)
    process.waitUntilExit()
    let text = String(decoding: bytes, as: UTF8.self).replacing("\r\n", with: "\n")
    return ProgramResult(output: text, exitCode: code(of: process))
  }

  private static func process(
    _ path: String, _ arguments: [String], _ environment: [String: String]
  ) -> Process {
    let process = Process()
    process.executableURL = URL(filePath: path)
    process.arguments = arguments
    process.currentDirectoryURL = URL(filePath: root)
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    process.environment = ["PATH": "\(folder):\(path)", "HOME": "/tmp", "LANG": "C.UTF-8"]
      .merging(environment) { $1 }
    return process
  }

  private static func text(of pipe: Pipe) -> String {
    String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  }

  private static func code(of process: Process) -> Int32 {
    process.terminationReason == .exit
      ? process.terminationStatus : 128 + process.terminationStatus
  }
}
