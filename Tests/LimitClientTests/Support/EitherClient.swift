// Both clients behind one face, so that what holds of both is tested of both.

import Dispatch
import Glibc
import LimitProtocol
import LimitSystem

@testable import LimitClient

enum ClientKind: CaseIterable {
  case blocking, async

  #if ONLY_THREADS
  /// ThreadSanitizer does not see how the runtime hands a resumed task over from one thread to another.
  static let allCases = [blocking]
  #endif
}

/// A client of either kind, for threads. The async one's calls run on a thread of their own: the tasks'
/// pool may have none to give while a test waits.
struct EitherClient: BlockingLimitChecking {
  private enum Client {
    case blocking(BlockingLimitClient)
    case async(AsyncLimitClient, OneThread)
  }

  private let client: Client

  init(
    _ kind: ClientKind, _ configuration: ClientConfiguration,
    observer: (any LimitClientObserver)? = nil
  ) {
    client =
      switch kind {
      case .blocking: .blocking(BlockingLimitClient(configuration, observer: observer))
      case .async: .async(AsyncLimitClient(configuration, observer: observer), OneThread())
      }
  }

  func check(_ query: LimitQuery, _ options: CallOptions) throws(LimitClientError) -> LimitDecision
  {
    switch client {
    case .blocking(let client): try client.check(query, options)
    case .async(let client, let thread):
      try thread.wait { () async throws(LimitClientError) in try await client.check(query, options)
      }
    }
  }

  func peek(_ query: LimitQuery, _ options: CallOptions) throws(LimitClientError) -> LimitDecision {
    switch client {
    case .blocking(let client): try client.peek(query, options)
    case .async(let client, let thread):
      try thread.wait { () async throws(LimitClientError) in try await client.peek(query, options) }
    }
  }

  func acquire(_ query: LimitQuery, _ options: CallOptions) throws(LimitClientError)
    -> LimitAcquisition
  {
    switch client {
    case .blocking(let client): try client.acquire(query, options)
    case .async(let client, let thread):
      try thread.wait { () async throws(LimitClientError) in
        try await client.acquire(query, options)
      }
    }
  }

  func batch(_ queries: [LimitQuery], _ options: CallOptions) -> [Result<
    LimitDecision, LimitClientError
  >] {
    switch client {
    case .blocking(let client): client.batch(queries, options)
    case .async(let client, let thread):
      thread.wait { () async throws(Never) in await client.batch(queries, options) }
    }
  }

  func settle(_ receipt: LimitReceipt, actual: UInt64, _ options: CallOptions)
    throws(LimitClientError)
  {
    switch client {
    case .blocking(let client): try client.settle(receipt, actual: actual, options)
    case .async(let client, let thread):
      try thread.wait { () async throws(LimitClientError) in
        try await client.settle(receipt, actual: actual, options)
      }
    }
  }

  func ping() throws(LimitClientError) -> Duration {
    switch client {
    case .blocking(let client): try client.ping()
    case .async(let client, let thread):
      try thread.wait { () async throws(LimitClientError) in try await client.ping() }
    }
  }

  func limits(tenant: String, policy: String) throws(LimitClientError) -> [LimitDescription] {
    switch client {
    case .blocking(let client): try client.limits(tenant: tenant, policy: policy)
    case .async(let client, let thread):
      try thread.wait { () async throws(LimitClientError) in
        try await client.limits(tenant: tenant, policy: policy)
      }
    }
  }
}

/// Runs tasks on one thread, and has other threads wait for them. A test may stop that thread; who resumes its tasks
/// is counted.
final class OneThread: TaskExecutor {
  private let queue = DispatchQueue(label: "one-thread")
  private let resumed = Locked<[UInt: Int]>([:])

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let thread = UInt(pthread_self())
    resumed.withLock { $0[thread, default: 0] += 1 }
    queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }

  /// How often the calling thread has resumed a task, or begun one.
  var resumedByThisThread: Int { resumed.withLock { $0[UInt(pthread_self()), default: 0] } }

  /// Waits until its tasks have gone as far as they can: one that is told before it has suspended is not resumed.
  func drain() { queue.sync {} }

  /// Stops its thread until `gate` is open.
  func stop(until gate: Gate) { queue.async { gate.pass() } }

  private final class Box<Value: Sendable, Failure: Error>: @unchecked Sendable {
    var result: Result<Value, Failure>?
  }

  /// The calling thread waits for the task.
  func wait<Value: Sendable, Failure: Error>(
    _ call: @escaping @Sendable () async throws(Failure) -> Value
  ) throws(Failure) -> Value {
    let (box, isDone) = (Box<Value, Failure>(), DispatchSemaphore(value: 0))
    Task.detached(executorPreference: self) {
      do throws(Failure) { box.result = .success(try await call()) } catch {
        box.result = .failure(error)
      }
      isDone.signal()
    }
    isDone.wait()
    return try box.result.unsafelyUnwrapped.get()
  }
}
