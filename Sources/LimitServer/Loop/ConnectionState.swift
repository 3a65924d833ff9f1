// What a connection waits for, and what it does next: a state machine without sockets or clocks of
// its own. The loop tells it what happened, and does what it answers.
//
//     reported ─▶ has a turn? ─▶ the loop sends, reads and serves ─▶ finish ─▶ Action
//
// It waits for at most one thing with a deadline: the hello, the rest of a frame that has begun, or
// a peer that does not read its replies.

import LimitSystem

/// Times that connections have, in ns.
struct Deadlines: Sendable {
  var hello: UInt64
  var frame: UInt64
  var stall: UInt64
  /// From a stop to the end, whatever peers do.
  var drain: UInt64
}

/// One connection's waits. One thread uses it.
struct ConnectionState {
  /// What a connection has limited time for.
  enum Wait { case nothing, hello, frame, stall }

  /// What the loop does after a turn.
  enum Action: Equatable {
    /// Gives the connection another turn, behind the others.
    case queue
    /// Nothing until the poller reports it.
    case rest
    /// Nothing until the socket takes more replies.
    case awaitRoom
    /// Closes it.
    case close
  }

  /// What a turn left behind.
  struct Outcome {
    /// Whether all replies are with the socket.
    var isSent = true
    /// Whether the socket took any that it had not taken before.
    var hasSent = false
    var input = Input.nothing
    var isGreeted = true

    enum Input {
      case nothing
      /// The beginning of a frame; a new one where something was served before it.
      case partOfFrame(isNew: Bool)
      /// Frames that wait for their turn, or for room.
      case frames
    }
  }

  private(set) var wait = Wait.hello
  /// When the wait has lasted too long, in ns of the boot clock; of no meaning for `nothing`.
  private(set) var deadline: UInt64
  /// The socket may have input, or an end to be read.
  private(set) var isReadable = true
  /// The poller has reported an end of what the peer writes.
  private var hasPeerClosed = false
  /// Frames were left for the next turn.
  private(set) var hasFrames = false
  /// The socket did not take all replies.
  private(set) var isBlocked = false
  /// Nothing more is to be read; the connection closes when all replies are sent.
  private(set) var isEnding = false

  init(at now: UInt64, _ deadlines: Deadlines) { deadline = now &+ deadlines.hello }

  /// The poller reports something.
  ///
  /// - Returns: whether the connection is to have a turn.
  @inline(__always) mutating func reported(_ events: Poller.Events) -> Bool {
    isReadable = true
    if events.areOfAnEnd { hasPeerClosed = true }
    // Until the socket takes the replies that wait, nothing else is done.
    return !isBlocked || events.allowOutput
  }

  /// The socket has no more input for now.
  @inline(__always) mutating func isDrained() { isReadable = false }

  /// A read brought less than there was room for. What comes from now on the poller reports; an end
  /// that it reported together with that input, it does not report again.
  @inline(__always) mutating func hasReadShort() { isReadable = hasPeerClosed }

  /// The peer writes no more, or what it wrote cannot be read on.
  mutating func ends() {
    isEnding = true
    isReadable = false
  }

  /// Whether the wait has lasted too long.
  func isOverdue(at now: UInt64) -> Bool { wait != .nothing && now >= deadline }

  /// After a turn.
  @inline(__always) mutating func finish(
    _ outcome: Outcome, at now: UInt64, _ deadlines: Deadlines
  ) -> Action {
    isBlocked = !outcome.isSent
    if case .frames = outcome.input { hasFrames = true } else { hasFrames = false }
    if isBlocked {
      // A hello's deadline goes on until it came.
      if outcome.isGreeted, wait != .stall || outcome.hasSent {
        begin(.stall, at: now, deadlines)
      }
      return .awaitRoom
    }
    if isEnding && !hasFrames { return .close }
    if outcome.isGreeted {
      switch outcome.input {
      case .partOfFrame(let isNew):
        if isNew || wait != .frame { begin(.frame, at: now, deadlines) }
      default: wait = .nothing
      }
    }
    return isReadable || hasFrames ? .queue : .rest
  }

  private mutating func begin(_ wait: Wait, at now: UInt64, _ deadlines: Deadlines) {
    self.wait = wait
    switch wait {
    case .nothing: deadline = .max
    case .hello: deadline = now &+ deadlines.hello
    case .frame: deadline = now &+ deadlines.frame
    case .stall: deadline = now &+ deadlines.stall
    }
  }
}
