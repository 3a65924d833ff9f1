// Standard output and standard error, without a language runtime's buffers between.

import Glibc

/// One of the process's own streams.
enum StandardStream: Int32 {
  case output = 1
  case error = 2

  /// Writes all of `text`. What the reader no longer wants (a closed pipe) is dropped.
  func write(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      var rest = UnsafeRawBufferPointer(bytes)
      while !rest.isEmpty {
        let count = Glibc.write(rawValue, rest.baseAddress!, rest.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return }
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
      }
    }
  }
}
