// Standard output and standard error, without a language runtime's buffers between.

import Glibc

/// Why output could not be written.
package struct OutputError: Error, Equatable {
  /// As in errno(3).
  package let number: Int32

  package init(number: Int32) { self.number = number }

  /// Nobody reads any more (`| head`): an end without a word.
  package var isBrokenPipe: Bool { number == EPIPE }

  /// What to tell the person who waits for the output.
  package var message: String { "the output cannot be written: \(systemError(number))" }
}

/// One of the process's own streams.
package enum StandardStream: Int32 {
  case output = 1
  case error = 2

  /// Writes all of `text`, at once as far as the system takes it.
  package func write(_ text: String) throws(OutputError) {
    var text = text
    let number = text.withUTF8 { bytes in
      var rest = UnsafeRawBufferPointer(bytes)
      while !rest.isEmpty {
        let count = Glibc.write(rawValue, rest.baseAddress!, rest.count)
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { return errno }
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
      }
      return 0
    }
    guard number == 0 else { throw OutputError(number: number) }
  }

  /// A line for the person at the terminal, with the program's name before it. What it quotes cannot
  /// steer the terminal. Where it cannot be written there is nobody to tell.
  package static func tell(_ line: String) {
    try? error.write("limitctl: \(visibleLines(line))\n")
  }
}

/// What the system calls an error number.
package func systemError(_ number: Int32) -> String { String(cString: strerror(number)) }
