// What a connection waits for, without sockets.

import LimitSystem
import Testing

@testable import LimitServer

@Suite struct ConnectionStateTests {
  private static let deadlines = Deadlines(hello: 10, frame: 20, stall: 30, drain: 40)

  /// A connection that has had its hello, at 0, and has nothing to do.
  private func ready() -> ConnectionState {
    var state = ConnectionState(at: 0, Self.deadlines)
    state.isDrained()
    #expect(state.finish(.init(), at: 0, Self.deadlines) == .rest)
    return state
  }

  private func finish(
    _ state: inout ConnectionState, _ input: ConnectionState.Outcome.Input = .nothing,
    isSent: Bool = true, hasSent: Bool = false, isGreeted: Bool = true, at now: UInt64 = 0
  ) -> ConnectionState.Action {
    let outcome = ConnectionState.Outcome(
      isSent: isSent, hasSent: hasSent, input: input, isGreeted: isGreeted)
    return state.finish(outcome, at: now, Self.deadlines)
  }

  @Test("A hello that does not come is overdue, whatever else does")
  func hello() {
    var state = ConnectionState(at: 0, Self.deadlines)
    #expect(finish(&state, .partOfFrame(isNew: true), isGreeted: false, at: 5) == .queue)
    #expect(!state.isOverdue(at: 9))
    #expect(state.isOverdue(at: 10))
    #expect(finish(&state, isSent: false, isGreeted: false, at: 9) == .awaitRoom)
    #expect(state.isOverdue(at: 10))
    #expect(finish(&state, at: 9) == .queue)
    #expect(!state.isOverdue(at: 1000))
  }

  @Test("A frame has the time that it began with, however it drips; the next one has its own")
  func frame() {
    var state = ready()
    #expect(finish(&state, .partOfFrame(isNew: true), at: 100) == .rest)
    for now in UInt64(101)..<120 {
      let hasTurn = state.reported(.input)
      #expect(hasTurn)
      state.isDrained()
      _ = finish(&state, .partOfFrame(isNew: false), at: now)
      #expect(!state.isOverdue(at: now))
    }
    #expect(state.isOverdue(at: 120))
    _ = finish(&state, .partOfFrame(isNew: true), at: 119)
    #expect(!state.isOverdue(at: 138) && state.isOverdue(at: 139))
    _ = finish(&state, at: 130)
    #expect(!state.isOverdue(at: 10_000))
  }

  @Test("A peer that reads nothing is overdue; each byte that it reads gives it the time anew")
  func stall() {
    var state = ready()
    #expect(finish(&state, .frames, isSent: false, hasSent: true, at: 100) == .awaitRoom)
    #expect(finish(&state, .frames, isSent: false, at: 120) == .awaitRoom)
    #expect(!state.isOverdue(at: 129) && state.isOverdue(at: 130))
    _ = finish(&state, .frames, isSent: false, hasSent: true, at: 129)
    #expect(!state.isOverdue(at: 158) && state.isOverdue(at: 159))
    // Frames that waited for room have their turn then.
    #expect(finish(&state, .frames, at: 140) == .queue)
    #expect(state.wait == .nothing)
  }

  @Test("Until replies that wait are taken, input gives a connection no turn")
  func blocked() {
    var state = ready()
    _ = finish(&state, isSent: false)
    let turns = [.input, .output, .hangUp].map { (events: Poller.Events) in state.reported(events) }
    #expect(turns == [false, true, true])
    // The input that was reported meanwhile is not forgotten.
    #expect(finish(&state) == .queue)
  }

  @Test("A connection that ends closes when its frames are served and its replies sent")
  func end() {
    var state = ready()
    state.ends()
    #expect(finish(&state, .frames) == .queue)
    #expect(finish(&state, .nothing, isSent: false) == .awaitRoom)
    #expect(finish(&state, .nothing) == .close)
  }

  @Test("The beginning of a frame that its peer ends is not waited for")
  func cutShort() {
    var state = ready()
    state.ends()
    #expect(finish(&state, .partOfFrame(isNew: true)) == .close)
  }

  @Test("What may have more input has another turn")
  func readable() {
    var state = ready()
    let hasTurn = state.reported(.input)
    #expect(hasTurn)
    #expect(finish(&state) == .queue)
    state.isDrained()
    #expect(finish(&state) == .rest)
  }

  @Test("An end that is reported together with the last input is read, though the read was short")
  func endBehindInput() {
    var state = ready()
    let hasTurn = state.reported([.input, .peerClosed])
    #expect(hasTurn)
    state.hasReadShort()
    #expect(finish(&state) == .queue)
    state.ends()
    #expect(finish(&state) == .close)
    // Without an end, a short read is the last.
    var other = ready()
    _ = other.reported(.input)
    other.hasReadShort()
    #expect(finish(&other) == .rest)
  }
}
