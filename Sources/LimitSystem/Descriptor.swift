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

/// What became of a write on a socket that does not block.
package enum Transfer {
  /// That many bytes.
  case bytes(Int)
  case wouldBlock
  /// The peer is gone.
  case ended
}

/// What became of a read on a stream socket that does not block.
package enum Reception {
  /// That many bytes, and whether there may be more: a stream that gives less than it was asked for
  /// has no more (epoll(7)).
  case bytes(Int, mayHaveMore: Bool)
  case wouldBlock
  /// The peer is gone, or writes no more.
  case ended
}

extension Descriptor {
  /// Receives what is there, at most the memory's size.
  ///
  /// - Parameter mayCarryDescriptors: whether the peer can pass descriptors along: behind those a read ends
  ///   early, and to be told of that takes longer.
  package borrowing func receive(
    into memory: UnsafeMutableRawBufferPointer, mayCarryDescriptors: Bool = false
  ) -> Reception {
    var hasMore: Int32 = 0
    let count = retrying {
      mayCarryDescriptors
        ? limitd_receive_among_descriptors(number, memory.baseAddress, memory.count, &hasMore)
        : limitd_receive(number, memory.baseAddress, memory.count)
    }
    if count > 0 { return .bytes(count, mayHaveMore: count == memory.count || hasMore != 0) }
    return count < 0 && errno == EAGAIN ? .wouldBlock : .ended
  }

  /// Sends what the socket takes. A peer that is gone is an outcome and not a signal.
  package borrowing func transmit(_ bytes: UnsafeRawBufferPointer) -> Transfer {
    let count = retrying { limitd_send(number, bytes.baseAddress, bytes.count) }
    if count >= 0 { return .bytes(count) }
    return errno == EAGAIN ? .wouldBlock : .ended
  }
}
