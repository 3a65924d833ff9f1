// A file descriptor with an owner, and reads and writes that never block. One owner at a time.

import CLinux
import Glibc

/// A file descriptor that is closed with its owner.
package struct Descriptor: ~Copyable, Sendable {
  package let number: Int32

  /// - Parameter number: what a system call returned; -1 stands for its failure.
  package init(_ number: Int32) throws(SystemError) {
    guard number >= 0 else { throw .last() }
    self.number = number
  }

  deinit { close(number) }
}

/// What became of a read or a write on a socket that does not block.
package enum Transfer {
  /// That many bytes.
  case bytes(Int)
  case wouldBlock
  /// The peer is gone, or writes no more.
  case ended
}

extension Descriptor {
  /// Receives what is there, at most the memory's size.

  package borrowing func receive(into memory: UnsafeMutableRawBufferPointer) -> Transfer {
    let count = retrying { recv(number, memory.baseAddress, memory.count, 0) }
    if count > 0 { return .bytes(count) }
    return count < 0 && errno == EAGAIN ? .wouldBlock : .ended
  }

  /// Sends what the socket takes. A peer that is gone is an outcome and not a signal.

  package borrowing func transmit(_ bytes: UnsafeRawBufferPointer) -> Transfer {
    let count = retrying {
      send(number, bytes.baseAddress, bytes.count, limitd_send_without_signal)
    }
    if count >= 0 { return .bytes(count) }
    return errno == EAGAIN ? .wouldBlock : .ended
  }
}
