// A folder for what a test writes.

import Foundation
import Glibc

/// Is removed with all that is in it when it is let go. Any thread.
public final class TemporaryFolder: Sendable {
  public let path: String

  /// - Parameter place: where to make it; short, since sockets' paths are bounded.
  public init(in place: String = "/tmp") throws {
    var template = Array("\(place)/limitd-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO)
    }
    path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }

  deinit { remove() }

  /// Removes it now: for a function whose last use of the folder itself comes before that of its files.
  public func remove() { try? FileManager.default.removeItem(atPath: path) }
}
