// Failed system calls. A value: any thread may use it.

import Glibc

/// The number of a failed system call, with the system's text.
public struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
  /// errno(3).
  public let number: Int32

  /// The error of the call that has just failed on this thread.
  package static func last() -> SystemError { SystemError(number: errno) }

  public init(number: Int32) { self.number = number }

  public var description: String { String(cString: strerror(number)) }
}

/// Repeats a system call that a signal interrupted (EINTR).
package func retrying<Number: SignedInteger>(
  _ call: () -> Number
) -> Number {
  while true {
    let result = call()
    if result >= 0 || errno != EINTR { return result }
  }
}
