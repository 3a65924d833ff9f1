// What an observer is told comes one after another and in order, whichever threads find it out, and on none of
// theirs.

import DaemonSupport
import Foundation
import LimitProtocol
import LimitSystem
import TestSupport
import Testing

@testable import LimitClient

@Suite struct ObserverTests {
  /// Has another thread connect anew while it is told of the loss.
  private final class SlowObserver: LimitClientObserver {
    private let told = Locked<[String]>([])
    private let connect = Locked<@Sendable () -> Void>({})

    var words: [String] { told.withLock { $0 } }
    private func add(_ word: String) { told.withLock { $0.append(word) } }
    func connects(by connect: @escaping @Sendable () -> Void) {
      self.connect.withLock { $0 = connect }
    }

    func limitdIsAway(_ error: LimitClientError) {
      let connect = connect.withLock { $0 }
      Foundation.Thread.detachNewThread { connect() }
      // Long enough for the other to be told of the return, if it were told here.
      try? wait(for: "another to be told", seconds: 0.5) { !words.isEmpty }
      add("away")
    }
    func limitdIsBack() { add("back") }
    func permitsWereLost(_ count: Int) { add("lost \(count)") }
  }

  /// Were both told at once, the last word would be that the daemon is away, when it is back.
  @Test(arguments: ClientKind.allCases)
  func theReturnIsToldAfterTheLossThoughAnotherThreadFindsItMeanwhile(_ kind: ClientKind) throws {
    let server = try LyingServer { conversation in
      try conversation.greet()
      while true {
        let request = try conversation.next()
        // The first connection ends with the first peek.
        if conversation.number == 0, [.peek, .peekByName].contains(request.operation) { return }
        conversation.answer(request)
      }
    }
    let observer = SlowObserver()
    // A task that has the patience finds the loss itself, and leaves it to the loop to connect.
    let client = EitherClient(
      kind, .test(server.path) { $0.spin = .patience }, observer: observer)
    observer.connects { _ = try? client.ping() }
    let permit = try client.acquire(tenant: "acme", policy: "p").permit
    _ = try? client.peek(tenant: "acme", policy: "p")
    try wait(for: "all to be told") { observer.words.count == 3 }
    #expect(observer.words == ["away", "lost 1", "back"])
    observer.connects {}
    #expect(permit?.isHeld == false)
  }

  /// Wants a lock for whatever it is told.
  private struct LockingObserver: LimitClientObserver {
    let lock: NSLock
    let told: Count

    func limitdIsAway(_ error: LimitClientError) { lock.withLock { told.add() } }
  }

  @Test(arguments: ClientKind.allCases)
  func whoeverFindsTheDaemonAwayMayHoldALockThatTheObserverWants(_ kind: ClientKind) throws {
    let folder = try TemporaryFolder()
    let (lock, told, isBack) = (NSLock(), Count(), Count())
    let client = EitherClient(
      kind, .test(folder.path + "/nobody"), observer: LockingObserver(lock: lock, told: told))
    Foundation.Thread.detachNewThread {
      lock.withLock { _ = try? client.ping() }
      isBack.add()
    }
    try wait(for: "the call and the observer") { isBack.value == 1 && told.value == 1 }
  }

  #if !ONLY_THREADS

  @Test func whatAClientHasYetToTellWhenItEndsIsTold() async throws {
    let server = try LyingServer { try $0.beHonest() }
    let observer = RecordingObserver()
    let client = AsyncLimitClient(.test(server.path), observer: observer)
    let permit = try await client.acquire(tenant: "acme", policy: "p").permit
    client.shutDown()
    try wait(for: "the loss to be told") { observer.words == ["lost 1"] }
    #expect(permit?.isHeld == false)
  }
  #endif

  // MARK: Notices

  @Test func noticesThatNobodyTellsFillNoMemoryAndEndAsTheDaemonStands() throws {
    for (rounds, isBack) in [(5000, true), (5000, false), (5, true)] {
      var notices = Notices()
      for round in 0..<rounds {
        notices.append(.away(.timedOut(mayHaveBeenDecided: false)))
        notices.append(.lost(2))
        if round < rounds - 1 || isBack { notices.append(.back) }
      }
      let told = notices.take()
      #expect(notices.isEmpty)
      #expect(told.count <= Notices.countMax)
      let changes = told.filter { !$0.isLoss }
      #expect((changes.last == .back) == isBack)
      for (before, after) in zip(changes, changes.dropFirst()) {
        #expect((before == .back) != (after == .back))
      }
      let lost = told.map { if case .lost(let count) = $0 { count } else { 0 } }
      #expect(lost.reduce(0, +) == 2 * rounds)
      if rounds == 5 { #expect(told.count == 3 * rounds) }
    }
  }
}
