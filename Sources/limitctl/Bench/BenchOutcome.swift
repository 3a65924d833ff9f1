// What a bench found, for people and for programs.

import Histogram
import LimitConsole
import LimitProtocol

/// Counts and latencies of one run.
struct BenchOutcome {
  let plan: BenchPlan
  var allowed: UInt64 = 0
  var denied: UInt64 = 0
  /// From the first group that counts to the last reply, in ns.
  var elapsed: UInt64 = 0
  /// Whether somebody ended the run before its time.
  var isInterrupted = false
  /// Processor time of this process meanwhile, in ns.
  var clientCPU: UInt64 = 0
  var latencies = Histogram<UInt64>(highestTrackableValue: 2, numberOfSignificantValueDigits: .one)

  init(plan: BenchPlan) { self.plan = plan }

  var decisions: UInt64 { allowed + denied }
  var perSecond: Double { elapsed == 0 ? 0 : Double(decisions) * 1e9 / Double(elapsed) }
  /// ns per decision.
  private var clientCost: Double { decisions == 0 ? 0 : Double(clientCPU) / Double(decisions) }

  /// Counts the decisions of one reply.
  ///
  /// - Throws: where it is none.
  mutating func count(
    _ header: FrameHeader, _ body: UnsafeRawBufferPointer, isCounting: Bool
  ) throws(BenchError) {
    switch header.operation {
    case Operation.check.replyNumber:
      guard body.count >= DecisionRecord.byteCount else {
        throw .refused("the daemon sent a decision that is too short")
      }
      if isCounting { count(outcome: DecisionOutcome(rawValue: body[0])) }
    case Operation.batch.replyNumber:
      var reader = WireReader(body)
      guard BatchReply.decodeStart(&reader) != nil else {
        throw .refused("the daemon sent a batch that is too short")
      }
      while let record = DecisionRecord(&reader) {
        guard record.outcome != .notDecided else {
          let name = record.error?.name ?? "error \(record.reason.rawValue)"
          throw .refused("limitd refused: \(name)")
        }
        if isCounting { count(outcome: record.outcome) }
      }
    case Operation.error:
      guard let reply = try? ErrorReply(body) else { fallthrough }
      let code = ErrorCode(rawValue: reply.code)
      throw .refused("limitd refused: \(code?.name ?? "error \(reply.code)"): \(reply.text)")
    default: throw .refused("the daemon sent a reply of an unknown kind (\(header.operation))")
    }
  }

  private mutating func count(outcome: DecisionOutcome) {
    if outcome == .allow { allowed += 1 } else { denied += 1 }
  }

  // MARK: Output

  private var percentiles: [(name: String, nanoseconds: UInt64)] {
    [("p50", 50), ("p90", 90), ("p99", 99), ("p999", 99.9)].map { name, percentile in
      (name, latencies.valueAtPercentile(percentile))
    } + [("max", latencies.max)]
  }

  /// Times in seconds. The members are part of the interface.
  var json: String {
    JSONValue.object([
      ("format", .string("limitctl-bench/1")),
      ("is_complete", .boolean(!isInterrupted)),
      ("decisions_per_second", .real(perSecond.rounded())),
      (
        "latency_seconds",
        .object(percentiles.map { ($0.name, .seconds($0.nanoseconds)) })
      ),
      ("decisions", .wideNumber(UInt128(decisions))),
      ("allowed", .wideNumber(UInt128(allowed))),
      ("denied", .wideNumber(UInt128(denied))),
      ("duration_seconds", .seconds(elapsed)),
      ("client_cpu_seconds", .seconds(clientCPU)),
      ("connections", .number(plan.connections)),
      ("pipeline", .number(plan.pipeline)),
      ("batch", .boolean(plan.isBatch)),
      ("rate", plan.rate.map { .wideNumber(UInt128($0)) } ?? .null),
    ]).text + "\n"
  }

  func text(_ terminal: Terminal) -> String {
    let shape =
      "\(grouped(plan.connections)) \(plan.connections == 1 ? "connection" : "connections"), "
      + (plan.pipeline == 1
        ? "one check at a time"
        : "\(plan.isBatch ? "batches" : "groups") of \(grouped(plan.pipeline))")
    var lines = [
      terminal.styled("\(grouped(UInt64(perSecond))) decisions per second", .heading),
      "  \(shape), \(durationText(elapsed))" + (isInterrupted ? ", interrupted" : ""),
      "  \(grouped(allowed)) allowed, \(grouped(denied)) denied",
    ]
    let latencies = percentiles.map { "\($0.name) \(latencyText($0.nanoseconds))" }
    lines.append("  latency  \(latencies.joined(separator: "  "))")
    lines.append(
      "  of which this generator's own work is \(Int(clientCost.rounded())) ns of processor time "
        + "per decision")
    return lines.map { "\($0)\n" }.joined()
  }
}
