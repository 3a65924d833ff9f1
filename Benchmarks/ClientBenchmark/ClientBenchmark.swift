// `make bench`, the client's part: calls per second and heap allocations per call, against a real
// daemon that it is given the socket of.
//
//     ClientBenchmark SOCKET [ROW [ROUNDS]]
//
// With ROW only rows whose name has it in it. ROUNDS: how many batches are measured.
// The daemon must know any tenant and have a policy `many` that admits everything.

import CAllocationCounter
import Glibc
import LimitClient
import LimitProtocol
import LimitSystem
import Synchronization

@main struct ClientBenchmark {
  static func main() async throws {
    let arguments = CommandLine.arguments
    guard (2...4).contains(arguments.count),
      let rounds = Int(arguments.count > 3 ? arguments[3] : "5")
    else {
      print("usage: ClientBenchmark SOCKET [ROW [ROUNDS]]")
      exit(64)
    }
    var configuration = ClientConfiguration(socketPath: CommandLine.arguments[1])
    configuration.callTimeout = .seconds(10)
    print(
      row("client", "calls/s", "µs/call", "allocations/call", "slowest, ms", "timed out"))
    for threads in [1, 8, 128] {
      blocking("blocking, \(threads) threads", configuration, threads: threads, calls: 100_000)
    }
    batch("blocking, batches", configuration, items: 200_000, rounds: rounds)
    for tasks in [1, 10, 200] {
      await asking("async, \(tasks) tasks", configuration, tasks: tasks, calls: 100_000)
    }
    try pipelined("pipelined, 256", configuration, depth: 256, groups: 10_000)
  }

  static func isWanted(_ name: String) -> Bool {
    CommandLine.arguments.count < 3 || name.contains(CommandLine.arguments[2])
  }

  // MARK: Rows

  static func blocking(
    _ name: String, _ configuration: ClientConfiguration, threads: Int, calls: Int
  ) {
    guard isWanted(name) else { return }
    // With the deadline that calls have unless they say otherwise: who is late for it is counted.
    let client = BlockingLimitClient(ClientConfiguration(socketPath: configuration.socketPath))
    let key = LimitKey("user-0123456789a")
    let late = Atomic<Int>(0)
    let slowest = Atomic<UInt64>(0)
    @Sendable func ask() {
      do throws(LimitClientError) {
        _ = try client.check(tenant: "acme", policy: "many", key: key)
      } catch {
        precondition(error.code == .timedOut, "\(error)")
        late.add(1, ordering: .relaxed)
      }
    }
    for _ in 0..<1000 { ask() }
    late.store(0, ordering: .relaxed)
    let allocations = Atomic<Int>(0)
    let seconds = timed {
      onThreads(threads) {
        let before = limitd_allocations_of_this_thread()
        var worst = 0.0
        for _ in 0..<calls / threads {
          let start = now()
          ask()
          worst = max(worst, now() - start)
        }
        slowest.max(UInt64(worst * 1e9), ordering: .relaxed)
        allocations.add(
          Int(limitd_allocations_of_this_thread() - before), ordering: .relaxed)
      }
    }
    report(
      name, calls / threads * threads, seconds, allocations.load(ordering: .relaxed),
      slowest: Double(slowest.load(ordering: .relaxed)) / 1e6, late: late.load(ordering: .relaxed))
  }

  static func batch(_ name: String, _ configuration: ClientConfiguration, items: Int, rounds: Int) {
    guard isWanted(name) else { return }
    let client = BlockingLimitClient(configuration)
    let queries = (0..<items).map { number in
      LimitQuery(tenant: "acme", policy: "many", key: "user-\(1_000_000 + number % 1000)")
    }
    _ = client.batch(queries)
    let before = limitd_allocations_of_this_thread()
    var isWhole = true
    let seconds = timed {
      for _ in 0..<rounds {
        isWhole = isWhole && client.batch(queries).count == items
      }
    }
    precondition(isWhole, "each item has its result")
    report(
      name, items * rounds, seconds,
      Int(limitd_allocations_of_this_thread() - before))
  }

  static func asking(
    _ name: String, _ configuration: ClientConfiguration, tasks: Int, calls: Int
  ) async {
    guard isWanted(name) else { return }
    let client = AsyncLimitClient(configuration)
    @Sendable func ask(_ count: Int) async {
      let key = LimitKey("user-0123456789a")
      for _ in 0..<count {
        _ = try! await client.check(tenant: "acme", policy: "many", key: key)
      }
    }
    func run(_ total: Int) async {
      await withTaskGroup { group in
        for _ in 0..<tasks { group.addTask { await ask(total / tasks) } }
      }
    }
    await run(10_000)
    let before = limitd_allocations_of_all_threads()
    let start = now()
    await run(calls)
    let seconds = now() - start
    report(name, calls, seconds, Int(limitd_allocations_of_all_threads() - before))
  }

  static func pipelined(
    _ name: String, _ configuration: ClientConfiguration, depth: Int, groups: Int
  ) throws {
    guard isWanted(name) else { return }
    let connection = try PipelinedConnection.open(configuration)
    _ = try connection.bind(handle: 0, tenant: "acme", policy: "many")
    // One block: an array for each would be retained and released for each request.
    let keyBytes = 16
    let keys = (0..<1024).flatMap { Array("user-\(10_000_000_000 + $0)".utf8) }
    func exchange(_ number: Int) throws {
      let result = keys.withUnsafeBytes { keys in
        Result {
          for place in 0..<depth {
            let start = (number &* depth &+ place) & 1023 * keyBytes
            try connection.query(
              .check, handle: 0, cost: 1,
              key: UnsafeRawBufferPointer(rebasing: keys[start..<start + keyBytes]),
              id: UInt32(place + 1))
          }
        }
      }
      try result.get()
      try connection.flush(timeout: .seconds(10))
      for _ in 0..<depth {
        guard case .decision = try connection.nextReply(timeout: .seconds(10)) else {
          fatalError("a check was answered by something else")
        }
      }
    }
    for number in 0..<100 { try exchange(number) }
    let before = limitd_allocations_of_this_thread()
    var failure: (any Error)?
    let seconds = timed {
      do { for number in 0..<groups { try exchange(number) } } catch { failure = error }
    }
    if let failure { throw failure }
    report(name, groups * depth, seconds, Int(limitd_allocations_of_this_thread() - before))
  }

  // MARK: Timing and printing

  static func now() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  static func timed(_ body: () -> Void) -> Double {
    let start = now()
    body()
    return now() - start
  }

  static func onThreads(_ count: Int, _ body: @escaping @Sendable () -> Void) {
    Thread.concurrently(count, named: "asks") { _ in body() }
  }

  static func report(
    _ name: String, _ calls: Int, _ seconds: Double, _ allocations: Int, slowest: Double = 0,
    late: Int = 0
  ) {
    let perCall = Double(allocations) / Double(calls)
    print(
      row(
        name, "\(Int(Double(calls) / seconds))",
        fixed(seconds / Double(calls) * 1e6, 3), fixed(perCall, 3), fixed(slowest, 1), "\(late)"))
  }

  static func fixed(_ number: Double, _ places: Int) -> String {
    let scale = (0..<places).reduce(1) { value, _ in value * 10 }
    let whole = Int((number * Double(scale)).rounded())
    let fraction = String(whole % scale)
    return "\(whole / scale)." + String(repeating: "0", count: places - fraction.count) + fraction
  }

  static func row(_ columns: String...) -> String {
    let widths = [32, 12, 10, 18, 13, 11]
    return zip(columns, widths).enumerated().map { place, column in
      let space = String(repeating: " ", count: max(0, column.1 - column.0.count))
      return place == 0 ? column.0 + space : space + column.0
    }.joined()
  }
}
