// Of answers that came together the loop tells one task; those that are told tell the rest, or in the end the loop
// (docs/decisions/0031).

import DaemonSupport
import Glibc
import TestSupport
import Testing

@testable import LimitClient

@Suite struct TellingTests {
  /// Tasks of which each has asked once, and whose answers come together: the first's first.
  private struct Crowd {
    let connection: HandDriven
    let ended = Count()
    let firstEnded = Count()
    let first = OneThread()
    let rest = OneThread()

    init(_ connection: HandDriven, count: Int) throws {
      self.connection = connection
      for number in 0..<count {
        Task.detached(executorPreference: number == 0 ? first : rest) { [self] in
          if await connection.ping() == nil { (number == 0 ? firstEnded : ended).add() }
        }
        if number == 0 { try connection.waitUntilOutstanding(1) }
      }
      try connection.waitUntilOutstanding(count)
      for executor in [first, rest] { executor.drain() }
      connection.turn()
    }

    func answer(_ count: Int) throws {
      let requests = try (0..<count).map { _ in try connection.server.next() }
      connection.server.answer(requests)
    }

    func waitForTheRest(_ count: Int) throws {
      try wait(for: "the rest") { ended.value == count - 1 }
    }
  }

  @Test(arguments: [2, 3, 17, 18, 100])
  func theLoopTellsOneAndWhoIsToldTellsTheRest(_ count: Int) throws {
    let crowd = try Crowd(HandDriven(), count: count)
    try crowd.answer(count)
    let (first, rest) = (crowd.first.resumedByThisThread, crowd.rest.resumedByThisThread)
    // The only call of the loop.
    crowd.connection.event()
    try crowd.waitForTheRest(count)
    #expect(crowd.first.resumedByThisThread == first + 1)
    #expect(crowd.rest.resumedByThisThread == rest)
  }

  @Test func whomNoTaskTellsInTimeTheLoopTellsAndThenLeavesNothingForAWhile() throws {
    let connection = try HandDriven()
    let gate = Gate()
    defer { gate.open() }
    // What is left once, and again when so many bundles were not.
    for bundle in 0...3 {
      let crowd = try Crowd(connection, count: 5)
      crowd.first.stop(until: gate)
      try crowd.answer(5)
      let before = crowd.rest.resumedByThisThread
      connection.event()
      let isLeft = bundle == 0 || bundle == 3
      #expect(crowd.rest.resumedByThisThread == before + (isLeft ? 0 : 4))
      if isLeft {
        usleep(useconds_t(Channel.helpWithin / .microseconds(1)))
        connection.turn()
        #expect(crowd.rest.resumedByThisThread == before + 4)
      }
      try crowd.waitForTheRest(5)
      #expect(crowd.firstEnded.value == 0)
    }
  }

  @Test func whatComesWhileSomethingIsLeftIsLeftWithItUntilTheSameTime() throws {
    let connection = try HandDriven()
    let channel = connection.channel
    let gate = Gate()
    defer { gate.open() }
    let crowd = try Crowd(connection, count: 20)
    // Of those that are told nobody helps but this thread.
    for executor in [crowd.first, crowd.rest] { executor.stop(until: gate) }
    try crowd.answer(20)
    connection.event()
    let later = Moment(nanoseconds: .max - 1)
    channel.leftDeadline = later
    let more = try Crowd(connection, count: 3)
    for executor in [more.first, more.rest] { executor.stop(until: gate) }
    try more.answer(3)
    let executors = [crowd.rest, more.first, more.rest]
    let before = executors.map { $0.resumedByThisThread }
    func resumed() -> [Int] { zip(executors, before).map { $0.resumedByThisThread - $1 } }
    connection.event()
    #expect(resumed() == [0, 0, 0])
    channel.help()
    #expect(resumed() == [Channel.helpMax, 0, 0])
    #expect(channel.leftDeadline == later)
    channel.leftDeadline = .distantPast
    connection.turn()
    #expect(resumed() == [19, 1, 2])
    gate.open()
    try crowd.waitForTheRest(20)
    try more.waitForTheRest(3)
    try wait(for: "the first") { crowd.firstEnded.value + more.firstEnded.value == 2 }
  }

  /// As when the loop is held up by a handler of the task that it resumes.
  @Test func whoAsksHelpsWhereTheLoopIsLate() throws {
    let connection = try HandDriven()
    let gate = Gate()
    defer { gate.open() }
    let crowd = try Crowd(connection, count: 40)
    crowd.first.stop(until: gate)
    try crowd.answer(40)
    connection.event()
    connection.channel.leftDeadline = .distantPast
    // Nothing calls the loop from here on.
    Task.detached(executorPreference: OneThread()) { _ = await connection.ping() }
    try crowd.waitForTheRest(40)
    connection.endServer()
    connection.event()
  }

  @Test func theEndOfTheLoopLeavesNobody() throws {
    let crowd = try Crowd(HandDriven(), count: 5)
    let gate = Gate()
    defer { gate.open() }
    crowd.first.stop(until: gate)
    try crowd.answer(5)
    crowd.connection.event()
    crowd.connection.channel.loopEnded()
    try crowd.waitForTheRest(5)
  }

  /// A client whose first caller runs where something else computes, so that it tells nobody. Its server answers three
  /// pings at a time, or ends instead.
  private struct BusyFirst {
    let server: LyingServer
    let core: ClientCore
    let gate = Gate()
    let ended = Count()
    private let rest = OneThread()

    init(isEnding: Bool, connections: Int, _ observer: (any LimitClientObserver)? = nil) throws {
      server = try LyingServer { conversation in
        try conversation.greet()
        conversation.answer(try conversation.next())
        while true {
          let requests = try (0..<3).map { _ in try conversation.next() }
          if isEnding { return }
          conversation.answer(requests)
        }
      }
      core = ClientCore(
        .test(server.path) {
          $0.spin = .zero
          $0.connectionCount = connections
        }, isLoopDriven: true, observer: observer)
      let channels = (0..<connections).map { _ in core.channel }
      for (number, channel) in channels.enumerated() {
        ask(channel, rest)
        try wait(for: "the connection") { ended.value == number + 1 }
      }
      for (number, channel) in channels.enumerated() {
        let first = OneThread()
        ask(channel, first)
        try wait(for: "the first request") { server.count(.ping) == connections + number + 1 }
        first.stop(until: gate)
      }
      for channel in channels { for _ in 0..<2 { ask(channel, rest) } }
    }

    private func ask(_ channel: Channel, _ executor: OneThread) {
      Task.detached(executorPreference: executor) { [self] in
        _ = await core.ask(.ping, by: channel, .after(.patience))
        ended.add()
      }
    }
  }

  @Test(arguments: [1, 3])
  func aClientsLoopComesBackForThoseWhomNoTaskTells(_ connections: Int) throws {
    let client = try BusyFirst(isEnding: false, connections: connections)
    defer { client.gate.open() }
    try wait(for: "the rest") { client.ended.value == 3 * connections }
  }

  /// Else the observer would wait for a caller, and that one for the first, whose thread is busy.
  @Test(arguments: [1, 3])
  func nobodyIsLeftWhileAnObserverIsTold(_ connections: Int) throws {
    final class WaitingObserver: LimitClientObserver {
      let (others, told) = (Gate(), Count())
      func limitdIsAway(_ error: LimitClientError) {
        others.pass()
        told.add()
      }
      func limitdIsBack() {}
      func permitsWereLost(_ count: Int) {}
    }
    let observer = WaitingObserver()
    let client = try BusyFirst(isEnding: true, connections: connections, observer)
    defer { client.gate.open() }
    // Those of one connection at least: the loop may be with the observer before it hears of the others' end.
    defer { observer.others.open() }
    try wait(for: "the rest") { client.ended.value >= connections + 2 }
    observer.others.open()
    try wait(for: "all others") { client.ended.value == 3 * connections }
    try wait(for: "the observer") { observer.told.value == connections }
  }

  @Test func afterFailuresInARowTheNextTimesAreLeftOutTwiceAsOften() {
    var backOff = CountedBackOff()
    func leftOut() -> Int { (0...).first { _ in backOff.isOver() }! }
    #expect(leftOut() == 0)
    for failures in 1...12 {
      backOff.failed()
      #expect(leftOut() == min(1 << failures, 1024))
      #expect(leftOut() == 0)
    }
    backOff.succeeded()
    backOff.failed()
    #expect(leftOut() == 2)
    backOff.pause(16)
    backOff.pause(3)
    #expect(leftOut() == 16)
  }

  @Test func theWaryForgetAFailureAfterAsManySuccessesInARow() {
    var backOff = CountedBackOff(isWary: true)
    func leftOut() -> Int { (0...).first { _ in backOff.isOver() }! }
    for _ in 1...3 { backOff.failed() }
    #expect(leftOut() == 8)
    for _ in 0..<7 { backOff.succeeded() }
    backOff.failed()
    #expect(leftOut() == 16)
    for _ in 0..<16 + 8 + 4 { backOff.succeeded() }
    backOff.failed()
    #expect(leftOut() == 4)
    for _ in 0..<100 { backOff.succeeded() }
    backOff.failed()
    #expect(leftOut() == 2)
  }
}
