// Programs as child processes.

import CHostile
import Foundation
import Glibc
import TestSupport

/// Starts a program that ends with the test process.
///
/// - Parameter descriptors: the soft and hard limit of open files; 0 leaves the test's.
/// - Returns: its process id; the caller waits for it.
func launch(
  _ arguments: [String], standardError: Int32, user: UInt32? = nil,
  descriptors: (soft: UInt64, hard: UInt64) = (0, 0), addressSpaceBytes: UInt64 = 0
) throws -> Int32 {
  var texts: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
  texts.append(nil)
  defer { for text in texts { free(text) } }
  let status = texts.withUnsafeBufferPointer { texts in
    var launch = limitd_launch(
      arguments: texts.baseAddress!, standard_error: standardError,
      user: user.map { Int64($0) } ?? -1, descriptors_soft: descriptors.soft,
      descriptors_hard: descriptors.hard, address_space: addressSpaceBytes)
    return limitd_launch(&launch)
  }
  guard status > 0 else { throw SystemFailure("start \(arguments[0])", -status) }
  return status
}

/// A program that runs until it is killed, or ends by itself. One thread uses it.
public final class ChildProgram {
  private var process: Int32

  public init(_ path: String, _ arguments: [String]) throws {
    process = try launch([path] + arguments, standardError: STDERR_FILENO)
  }

  deinit { kill() }

  public func kill() {
    guard process > 0 else { return }
    Glibc.kill(process, SIGKILL)
    var status: Int32 = 0
    waitpid(process, &status, 0)
    process = 0
  }
}

/// What a program said, and how it ended.
public struct ProgramResult: Sendable {
  public let code: Int32
  public let output: String
  public let errors: String
}

/// Runs a program to its end.
public func run(_ path: String, _ arguments: [String]) throws -> ProgramResult {
  let process = Process()
  process.executableURL = URL(filePath: path)
  process.arguments = arguments
  let folder = try TemporaryFolder()
  defer { folder.remove() }
  // Files and not pipes: neither fills.
  let files = ["out", "err"].map { URL(filePath: "\(folder.path)/\($0)") }
  for file in files { try Data().write(to: file) }
  process.standardOutput = try FileHandle(forWritingTo: files[0])
  process.standardError = try FileHandle(forWritingTo: files[1])
  try process.run()
  process.waitUntilExit()
  let texts = try files.map { String(decoding: try Data(contentsOf: $0), as: UTF8.self) }
  return ProgramResult(code: process.terminationStatus, output: texts[0], errors: texts[1])
}
