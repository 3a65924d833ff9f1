// A task that looks for its answer before it suspends: what it finds, and what becomes of what it
// does not find.

import DaemonSupport
import Foundation
import Glibc
import LimitProtocol
import TestSupport
import Testing

@testable import LimitClient

@Suite struct LookingTests {
  /// A client whose connection is open, and nothing on its way.
  private func core(_ path: String, spin: Duration) async -> ClientCore {
    let core = ClientCore(.test(path) { $0.spin = spin }, isLoopDriven: true, observer: nil)
    _ = await core.ask(.ping, by: core.channel, .after(.patience))
    // That may have looked in vain, where the machine is busy: then the next would not look.
    core.channel.lock()
    core.channel.patience = Patience(spin)
    core.channel.unlock()
    return core
  }

  private func wait(_ channel: Channel) async -> Word {
    await withUnsafeContinuation { continuation in
      channel.wait(
        TaskWaiter(number: 7, continuation: continuation, deadline: .after(.patience)))
    }
  }

  private var acquire: Question {
    .query(.acquire, LimitQuery(tenant: "acme", policy: "p"))
  }

  /// A look that has patience enough, so that the machine's load decides nothing.
  @Test func anAnswerThatComesWhileATaskLooksNeedsNoOtherThread() async throws {
    let server = try LyingServer { conversation in
      try conversation.greet()
      while true { conversation.answer(try conversation.next()) }
    }
    let core = await core(server.path, spin: .patience)
    var found = 0
    for _ in 0..<63 {
      if case .word(.answer(.done)) = core.channel.look(.ping, until: .after(.patience)) {
        found += 1
      }
    }
    // One in 64 suspends.
    #expect(found >= 62)
  }

  @Test func aLookInVainEndsInItsTimeAndTheAnswerComesAllTheSame() async throws {
    for isEarly in [true, false] {
      let gate = Gate()
      let server = try serverHolding(.acquireByName, until: gate)
      let core = await core(server.path, spin: .milliseconds(5))
      let start = Moment.now
      guard case .inVain = core.channel.look(acquire, until: .after(.patience)) else {
        throw Unexpected()
      }
      #expect(Moment.now.since(start) >= .milliseconds(5))
      if isEarly {
        // Before the task waits: the loop finds nobody, and keeps the word.
        gate.open()
        try await Task.sleep(for: .milliseconds(20))
      } else {
        Task.detached {
          try await Task.sleep(for: .milliseconds(20))
          gate.open()
        }
      }
      guard case .answer(.decision(_, let permit?, _)) = await wait(core.channel) else {
        throw Unexpected()
      }
      #expect(permit.number == 5)
    }
  }

  @Test func aTaskThatIsCancelledBetweenLookAndWaitEndsAndItsPermitGoesBack() async throws {
    let gate = Gate()
    let server = try serverHolding(.acquireByName, until: gate)
    let core = await core(server.path, spin: .milliseconds(1))
    guard case .inVain = core.channel.look(acquire, until: .after(.patience)) else {
      throw Unexpected()
    }
    core.channel.cancel(7)
    guard case .answer(.failure(let error)) = await wait(core.channel) else { throw Unexpected() }
    #expect(error.code == .cancelled && error.mayHaveBeenDecided)
    gate.open()
    for _ in 0..<4000 where server.count(.release) == 0 {
      try await Task.sleep(for: .milliseconds(5))
    }
    #expect(server.count(.release) == 1)
  }

  @Test func aConnectionThatIsLostUnderALookFailsItHonestly() async throws {
    let server = try LyingServer { conversation in
      try conversation.greet()
      conversation.answer(try conversation.next())
      // The query is read, and not answered.
      _ = try conversation.next()
    }
    let core = await core(server.path, spin: .patience)
    let looked = core.channel.look(acquire, until: .after(.patience))
    guard case .word(.answer(.failure(let error))) = looked else { throw Unexpected() }
    #expect(error.code == .connectionLost && error.mayHaveBeenDecided)
  }

  /// The loop watches for that alone, while tasks look for their answers themselves.
  @Test func aConnectionThatEndsIsNoticedThoughNobodyAsks() async throws {
    let gate = Gate()
    let server = try LyingServer { conversation in
      try conversation.greet()
      for _ in 0..<2 { conversation.answer(try conversation.next()) }
      gate.pass()
      // Half a frame, which alone says nothing, and then the end.
      conversation.send([16, 0, 0])
    }
    let observer = RecordingObserver()
    let core = ClientCore(
      .test(server.path) { $0.spin = .patience }, isLoopDriven: true, observer: observer)
    for _ in 0..<2 { _ = await core.ask(.ping, by: core.channel, .after(.patience)) }
    gate.open()
    for _ in 0..<4000 where observer.words.isEmpty {
      try await Task.sleep(for: .milliseconds(5))
    }
    #expect(observer.words == ["away connectionLost"])
  }

  @Test func aDeadlineEndsALookBeforeItsTime() async throws {
    let server = try LyingServer { conversation in
      try conversation.greet()
      conversation.answer(try conversation.next())
      while true { _ = try conversation.next() }
    }
    let core = await core(server.path, spin: .patience)
    let answer = await core.ask(.ping, by: core.channel, .after(.milliseconds(300)))
    guard case .failure(let error) = answer else { throw Unexpected() }
    #expect(error.code == .timedOut && error.mayHaveBeenDecided)
  }

  @Test func nobodyLooksWhileAnotherCallIsOnItsWay() async throws {
    let gate = Gate()
    let server = try serverHolding(.acquireByName, until: gate)
    let core = await core(server.path, spin: .milliseconds(1))
    async let answer = core.ask(acquire, by: core.channel, .after(.patience))
    for _ in 0..<4000 where server.count(.acquireByName) == 0 {
      try await Task.sleep(for: .milliseconds(5))
    }
    // More often than looks in vain keep one from looking.
    for _ in 0..<8 {
      guard case .not = core.channel.look(.ping, until: .after(.patience)) else {
        throw Unexpected()
      }
    }
    #expect(server.count(.ping) == 1)
    gate.open()
    guard case .decision = await answer else { throw Unexpected() }
  }

  /// `isHeld` reads the socket, too: with the loop, or with a task that looks, it must not.
  @Test func aPermitThatIsAskedWhetherItIsHeldDisturbsNoReply() async throws {
    let server = try LyingServer { conversation in
      try conversation.greet()
      while true { conversation.answer(try conversation.next()) }
    }
    let client = AsyncLimitClient(.test(server.path))
    let permit = try #require(try await client.acquire(tenant: "acme", policy: "p").permit)
    let isOver = Count()
    let asking = Thread {
      while isOver.value == 0 { _ = permit.isHeld }
      isOver.add()
    }
    asking.start()
    await withTaskGroup { group in
      for _ in 0..<20 {
        group.addTask {
          for _ in 0..<200 {
            do { _ = try await client.ping() } catch { Issue.record(error) }
          }
        }
      }
    }
    #expect(permit.isHeld)
    isOver.add()
    while isOver.value < 2 { try await Task.sleep(for: .milliseconds(1)) }
  }

  // MARK: Patience

  /// Which of the next calls look.
  private func looks(_ patience: inout Patience, _ calls: Int) -> [Bool] {
    (0..<calls).map { _ in patience.allowsLook() }
  }

  @Test func looksInVainBecomeRareAndOneThatFindsMakesThemUsualAgain() {
    var patience = Patience(.microseconds(50))
    var count = 0
    for _ in 0..<100_000 where patience.allowsLook() {
      count += 1
      patience.failed()
    }
    #expect((90...110).contains(count))
    while !patience.allowsLook() {}
    patience.succeeded()
    let after = looks(&patience, 63)
    #expect(after.count { $0 } >= 62)
    patience.failed()
    let next = looks(&patience, 3)
    #expect(next == [false, false, true])
  }

  @Test func oneCallInSixtyFourSuspendsAndOthersAreLeftTheirTurn() {
    var patience = Patience(.microseconds(50))
    let alone = looks(&patience, 6400)
    #expect(alone.count { $0 } == 6300)
    patience.sawOthers()
    #expect(!patience.isKept)
    let after = looks(&patience, 17)
    #expect(after == [Bool](repeating: false, count: 16) + [true])
  }

  @Test func withoutASpinNobodyLooks() {
    var patience = Patience(.zero)
    let all = looks(&patience, 100)
    #expect(!all.contains(true))
  }
}
