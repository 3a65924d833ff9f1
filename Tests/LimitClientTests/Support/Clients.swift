// What the tests of clients share.

import DaemonSupport
import Foundation
import Glibc
import LimitProtocol
import Synchronization
import TestSupport
import Testing

@testable import LimitClient

/// All tests that stop, kill or load a daemon, one after another.
@Suite(.serialized) struct DaemonTests {}

extension Duration {
  /// How long a test waits for what must come. Tests that compute hold every thread of the tasks' pool
  /// for a minute or more, and a task that is resumed so late is late for its deadline.
  static let patience = Duration.seconds(300)
}

extension ClientConfiguration {
  /// Of tests: patient, so that a loaded machine fails none.
  static func test(_ path: String, _ adjust: (inout ClientConfiguration) -> Void = { _ in })
    -> ClientConfiguration
  {
    var configuration = ClientConfiguration(
      socketPath: path, clientName: "test", connectTimeout: .patience, callTimeout: .patience,
      backOffFirst: .milliseconds(1), backOffMax: .milliseconds(20))
    adjust(&configuration)
    return configuration
  }
}

/// An answer that the test has no use for.
struct Unexpected: Error {}

/// Counts what happens on any thread.
final class Count: Sendable {
  private let number = Atomic<Int>(0)
  var value: Int { number.load(ordering: .sequentiallyConsistent) }
  func add(_ more: Int = 1) { number.add(more, ordering: .sequentiallyConsistent) }
}

/// What somebody waits at until a test says that it may go on. Any thread.
final class Gate: Sendable {
  private let isOpen = Count()
  func open() { isOpen.add() }
  func pass() { while isOpen.value == 0 { usleep(1000) } }
}

/// A server that answers all as limitd would, but one kind of request only once `gate` is open.
func serverHolding(
  _ operation: LimitProtocol.Operation, until gate: Gate
) throws -> LyingServer {
  try LyingServer { conversation in
    try conversation.greet()
    while true {
      let request = try conversation.next()
      if request.operation == operation { gate.pass() }
      conversation.answer(request)
    }
  }
}

/// Remembers what it was told.
final class RecordingObserver: LimitClientObserver, @unchecked Sendable {
  private let lock = NSLock()
  private var told: [String] = []

  var words: [String] { lock.withLock { told } }
  private func add(_ word: String) { lock.withLock { told.append(word) } }

  func limitdIsAway(_ error: LimitClientError) { add("away \(error.code)") }
  func limitdIsBack() { add("back") }
  func permitsWereLost(_ count: Int) { add("lost \(count)") }
}

/// Runs `body` on `count` threads, and waits for all.
func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  let group = DispatchGroup()
  for number in 0..<count {
    group.enter()
    Thread.detachNewThread {
      body(number)
      group.leave()
    }
  }
  group.wait()
}

/// The error that a call throws; nil where it throws none.
func failure<Value>(_ call: () throws(LimitClientError) -> Value) -> LimitClientError? {
  do throws(LimitClientError) {
    _ = try call()
    return nil
  } catch {
    return error
  }
}

/// Runs `body` in a forked process, which has no thread but this one.
///
/// - Returns: what it returned there.
func inForkedChild(_ body: () -> Bool) -> Bool {
  // Swift hides fork(2).
  typealias Fork = @convention(c) () -> pid_t
  let child = unsafeBitCast(dlsym(nil, "fork"), to: Fork.self)()
  if child == 0 {
    // Another thread's lock that is never let go in the child fails the test, and holds it up no longer.
    alarm(60)
    _exit(body() ? 0 : 1)
  }
  var status: Int32 = 0
  waitpid(child, &status, 0)
  return child > 0 && status == 0
}
