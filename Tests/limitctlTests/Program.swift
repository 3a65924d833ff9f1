// The real limitctl as its users start it: in a pipe, or on a terminal of a certain width.

import DaemonSupport
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
    let terminal = try PseudoTerminal(columns: columns)
    let process = try terminal.start(
      arguments, environment: environment, hasInput: typed != nil)
    // The terminal keeps it until it is read.
    if let typed { try terminal.type(typed) }
    let code = try terminal.end(of: process)
    return ProgramResult(
      output: try terminal.output().replacing("\r\n", with: "\n"), exitCode: code)
  }

  fileprivate static func process(
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

  fileprivate static func code(of process: Process) -> Int32 {
    process.terminationReason == .exit
      ? process.terminationStatus : 128 + process.terminationStatus
  }
}

/// A terminal that a program draws on and a test types on: pty(7), ioctl_tty(2). One thread uses it.
final class PseudoTerminal {
  private let master: Int32
  private let slave: Int32
  private var bytes: [UInt8] = []

  init(columns: Int) throws {
    // posix_openpt(3) and its like, which Swift's Glibc lacks.
    master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK)
    var (isLocked, number): (Int32, Int32) = (0, 0)
    let (setLock, getNumber): (UInt, UInt) = (0x4004_5431, 0x8004_5430)
    precondition(master >= 0 && ioctl(master, setLock, &isLocked) == 0)
    precondition(ioctl(master, getNumber, &number) == 0)
    var size = winsize(ws_row: 60, ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
    _ = ioctl(master, UInt(TIOCSWINSZ), &size)
    slave = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY | O_CLOEXEC)
    precondition(slave >= 0)
  }

  deinit {
    close(master)
    close(slave)
  }

  /// Starts limitctl on it.
  ///
  /// - Parameter hasInput: whether it reads from here; else from nowhere.
  func start(
    _ arguments: [String], environment: [String: String] = [:], hasInput: Bool = true
  ) throws -> Process {
    let process = Program.process(
      Program.limitctl, arguments, ["TERM": "xterm-256color"].merging(environment) { $1 })
    let handle = FileHandle(fileDescriptor: slave, closeOnDealloc: false)
    process.standardInput = hasInput ? handle : FileHandle.nullDevice
    process.standardOutput = handle
    process.standardError = handle
    try process.run()
    return process
  }

  /// What was drawn so far.
  func output() throws -> String {
    var chunk = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(master, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { break }
      bytes += chunk[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  func type(_ text: String) throws {
    for byte in text.utf8 { _ = withUnsafeBytes(of: byte) { write(master, $0.baseAddress, 1) } }
  }

  /// Waits for the end of a program, and gives its exit code.
  func end(of process: Process) throws -> Int32 {
    do {
      try wait(for: "the program's end", seconds: 120) {
        _ = try output()
        return !process.isRunning
      }
    } catch {
      process.terminate()
      throw error
    }
    process.waitUntilExit()
    return Program.code(of: process)
  }

  /// How the terminal is set: whether it echoes, and waits for lines.
  var settings: tcflag_t {
    var settings = termios()
    tcgetattr(slave, &settings)
    return settings.c_lflag
  }
}
