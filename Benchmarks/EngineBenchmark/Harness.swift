// Timing: rounds of many calls, and the median of the rounds.

import Glibc

/// Nanoseconds that never step.
func monotonicNanoseconds() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC_RAW, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// One line of the table: nanoseconds per decision over several rounds.
struct Figure {
  var name: String
  var target: String
  var rounds: [Double]

  var median: Double { rounds.sorted()[rounds.count / 2] }
  var least: Double { rounds.min() ?? 0 }
  var most: Double { rounds.max() ?? 0 }
}

private func argument(_ name: String) -> String? {
  let arguments = CommandLine.arguments
  guard let place = arguments.firstIndex(of: name), place + 1 < arguments.count else { return nil }
  return arguments[place + 1]
}

/// `--only TEXT`: measure only the lines whose name has TEXT in it.
private let only = argument("--only")

/// `--decisions COUNT`: make so many decisions of each line, once, untimed: for a tool that counts
/// instructions.
private let decisions = argument("--decisions").flatMap { Int($0) }

private func isWanted(_ name: String) -> Bool { only.map { name.contains($0) } ?? true }

/// Runs `body(count)`, which makes `count` decisions, once to warm up and then `rounds` times.
func measure(_ name: String, target: String = "", count: Int, rounds: Int = 7, body: (Int) -> Void)
  -> [Figure]
{
  guard isWanted(name) else { return [] }
  if let decisions {
    body(decisions)
    return []
  }
  body(count / 4)
  let times = (0..<rounds).map { _ in
    let start = monotonicNanoseconds()
    body(count)
    return Double(monotonicNanoseconds() - start) / Double(count)
  }
  return [Figure(name: name, target: target, rounds: times)]
}

/// As `measure`, with two threads that each make `count` decisions at the same time; nanoseconds
/// per decision of one thread.
func measurePair(
  _ name: String, count: Int, rounds: Int = 7, body: @escaping @Sendable (Int, Int) -> Void
) -> [Figure] {
  guard isWanted(name) else { return [] }
  let times = (0..<rounds).map { _ in
    let start = monotonicNanoseconds()
    let threads = (0..<2).map { number in startThread { body(number, count) } }
    for thread in threads { pthread_join(thread, nil) }
    return Double(monotonicNanoseconds() - start) / Double(count)
  }
  return [Figure(name: name, target: "", rounds: times)]
}

private final class Work: Sendable {
  let body: @Sendable () -> Void
  init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}

private func startThread(_ body: @escaping @Sendable () -> Void) -> pthread_t {
  var thread = pthread_t()
  let work = Unmanaged.passRetained(Work(body))
  let status = pthread_create(
    &thread, nil,
    { argument in
      Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue().body()
      return nil
    }, work.toOpaque())
  precondition(status == 0, "pthread_create failed: \(status)")
  return thread
}

func show(_ figures: [Figure]) {
  func pad(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
  func number(_ value: Double) -> String {
    let text = "\((value * 10).rounded() / 10)"
    return String(repeating: " ", count: max(0, 9 - text.count)) + text
  }
  print(pad("nanoseconds per decision", 52) + "   median    least     most   to reach")
  for figure in figures {
    print(
      pad(figure.name, 52) + number(figure.median) + number(figure.least) + number(figure.most)
        + "   " + figure.target)
  }
}
