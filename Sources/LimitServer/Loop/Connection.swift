// One connection: a socket, its session, and what waits to be read or written.

import LimitEngine
import LimitProtocol
import LimitSystem

/// A connection of one event loop. One thread uses it.
struct Connection: ~Copyable {
  /// What a connection has limited time for.
  enum Wait { case nothing, hello, frame, stall }

  let socket: Descriptor
  var session: Session
  /// Input that is not served yet: the beginning of a frame, or what waits for `unsent`.
  var unserved = ByteStash()
  /// Replies that the socket did not take yet. While there are any, nothing is read.
  var unsent = ByteStash()
  /// Nothing more is to be read; the connection closes when `unsent` is empty.
  var isEnding = false
  /// What the poller reports now.
  var interest: Poller.Events = .input
  var wait = Wait.nothing
  /// When the wait has lasted too long; of no meaning for `nothing`.
  var deadline = UInt64.max

  init(_ socket: consuming Descriptor, _ session: consuming Session) {
    self.socket = socket
    self.session = session
  }
}
